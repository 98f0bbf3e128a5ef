"""Heterogeneity, size or cheapness: `python -m experiments.hypotheses --workdir=A,B`."""

from collections.abc import Set

from experiments.analysis import hypotheses
from experiments.config import RunConfig
from experiments.study import app


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes hypotheses.md into each of the folders of `workdir`."""
    del given
    hypotheses.report(config)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
