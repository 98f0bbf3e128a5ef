"""Pictures of one or more workdirs: `python -m experiments.plots FOLDER...`.

The folders may also be named by `--workdir=a,b`. The files are in the first of them.
"""

from collections.abc import Set

from experiments.analysis import plots
from experiments.config import RunConfig
from experiments.study import app

POSITIONAL = "workdir"
"""The field that arguments without a flag are items of."""


def main(config: RunConfig, given: Set[str]) -> None:
    """Draws `pictures` into the first folder of `workdir`."""
    del given
    plots.report(config)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main, positional=POSITIONAL)


if __name__ == "__main__":
    start()
