"""Seconds of a round, masked against sliced: `python -m experiments.time_executions`."""

from collections.abc import Set

from experiments.analysis import execution_times
from experiments.config import RunConfig
from experiments.study import app


def main(config: RunConfig, given: Set[str]) -> None:
    """Times `method` on `seed` in both modes of execution."""
    execution_times.report(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
