"""Which units clients trained, without training: `python -m experiments.coverage FOLDER...`.

The folders may also be named by `--workdir=a,b`.
"""

from collections.abc import Set

from experiments.analysis import plots, replay
from experiments.config import RunConfig
from experiments.study import app

POSITIONAL = "workdir"
"""The field that arguments without a flag are items of."""


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes coverage.csv into each folder of `workdir`, and the picture into the first."""
    folders = replay.report(config, given)
    formats = config.reporting.picture_formats
    plots.draw("coverage", plots.grouped(folders), folders[0], formats)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main, positional=POSITIONAL)


if __name__ == "__main__":
    start()
