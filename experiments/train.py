"""One method, one seed: `python -m experiments.train --method=hasa`."""

from collections.abc import Set

from experiments.config import RunConfig
from experiments.study import app, run


def main(config: RunConfig, given: Set[str]) -> None:
    """Runs `method` under its policy, or `policy`, on `seed`."""
    run.train(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
