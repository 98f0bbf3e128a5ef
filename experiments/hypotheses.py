"""Heterogeneity, size or cheapness: `python -m experiments.hypotheses FOLDER...`.

The folders may also be named by `--workdir=a,b`. Each of them is looked at by itself.
"""

from collections.abc import Set

from experiments.analysis import hypotheses
from experiments.config import RunConfig
from experiments.study import app

POSITIONAL = "workdir"
"""The field that arguments without a flag are items of."""


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes hypotheses.md into each of the folders of `workdir`."""
    del given
    hypotheses.report(config)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main, positional=POSITIONAL)


if __name__ == "__main__":
    start()
