"""Which client holds what: `python -m experiments.partition_report --workdir=...` and data."""

from collections.abc import Set

from experiments.analysis import partition_report
from experiments.config import RunConfig
from experiments.study import app


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes partition.csv, partition.md and partition.png into `workdir`."""
    partition_report.report(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
