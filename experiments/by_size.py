"""Local and global accuracy of every size: `python -m experiments.by_size --workdir=a,b`."""

from collections.abc import Set

from experiments.analysis import by_size
from experiments.config import RunConfig
from experiments.study import app


def main(config: RunConfig, given: Set[str]) -> None:
    """Writes by_size.md and by_size.png into the first folder of `workdir`."""
    del given
    by_size.report(config)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
