"""What each client gains by width: `python -m experiments.need FOLDER...`, and flags of the data.

The folders hold narrow subnets for all clients, and wide ones. They may also be named by
`--workdir=a,b`. The files are in the first folder of wide subnets.
"""

from collections.abc import Set

from experiments.analysis import need
from experiments.config import RunConfig
from experiments.study import app

POSITIONAL = "workdir"
"""The field that arguments without a flag are items of."""


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes need.csv and need.md into the first folder of wide subnets."""
    need.report(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main, positional=POSITIONAL)


if __name__ == "__main__":
    start()
