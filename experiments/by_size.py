"""Local and global accuracy of every size: `python -m experiments.by_size FOLDER...`.

The folders may also be named by `--workdir=a,b`. The files are in the first of them.
"""

from collections.abc import Set

from experiments.analysis import by_size, plots
from experiments.config import RunConfig
from experiments.study import app

POSITIONAL = "workdir"
"""The field that arguments without a flag are items of."""


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes by_size.md, and by_size in every format, into the first folder of `workdir`.

    Of several folders, the names begin with `merged_`.
    """
    del given
    found = by_size.report(config)
    plots.draw("by_size", [found], found.folders[0], config.reporting.picture_formats)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main, positional=POSITIONAL)


if __name__ == "__main__":
    start()
