"""When does each policy win? `python -m experiments.testbed --workdir=...` and flags of compare.

Nine cells on synthetic_needs: the score shows who needs width, says nothing of it, or misleads;
hard clients have little data, as much as others, or much. Every cell is a run of compare with a
folder of its own in `--workdir`. `--shard=i/n` runs the i-th of n shares of the cells. The same
command goes on, and writes testbed.md and testbed.png.
"""

from collections.abc import Set

from experiments.config import RunConfig
from experiments.study import app, testbed


def main(config: RunConfig, given: Set[str]) -> None:
    """Runs one share of the cells, and writes the table and the picture of all of them."""
    testbed.run_cells(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
