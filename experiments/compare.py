"""Methods, or policies of one method, times matched seeds: `python -m experiments.compare`."""

from collections.abc import Set

from experiments.config import RunConfig
from experiments.study import app, run


def main(config: RunConfig, given: Set[str]) -> None:
    """Runs `methods`, or `policies` of one `method`, on `num_seeds` seeds from `seed` on."""
    run.compare(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
