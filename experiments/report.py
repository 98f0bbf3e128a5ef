"""All results of one or more workdirs in one HTML file: `python -m experiments.report FOLDER...`.

The folders may also be named by `--workdir=a,b`. The file is report.html in the first of them.
"""

from collections.abc import Set

from experiments.analysis.report import writing
from experiments.config import RunConfig
from experiments.study import app

POSITIONAL = "workdir"
"""The field that arguments without a flag are items of."""


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes report.html into the first folder of `workdir`."""
    del given
    writing.report(config)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main, positional=POSITIONAL)


if __name__ == "__main__":
    start()
