"""The table of a workdir again: `python -m experiments.tables --workdir=...`."""

from collections.abc import Set

from experiments.analysis import tables
from experiments.config import RunConfig
from experiments.study import app


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes table.md into `workdir`."""
    del given
    tables.report(config)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
