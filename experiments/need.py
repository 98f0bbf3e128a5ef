"""What each client gains by width: `python -m experiments.need --workdir=NARROW,WIDE` and data."""

from collections.abc import Set

from experiments.analysis import need
from experiments.config import RunConfig
from experiments.study import app


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes need.csv and need.md into the second folder of `workdir`."""
    need.report(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
