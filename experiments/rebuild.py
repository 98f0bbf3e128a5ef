"""All tables of committed results and documents again: `python -m experiments.rebuild`.

It rewrites what stands in README.md and docs/ between markers, and the files beside the results in
experiments/results. With `--check` it writes nothing, and fails with a line for each difference.
"""

from collections.abc import Set

from experiments.analysis import rebuilding
from experiments.config import RunConfig
from experiments.study import app


def main(config: RunConfig, given: Set[str]) -> None:
    """Rewrites the files, or compares them."""
    del given
    rebuilding.rebuild(config)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
