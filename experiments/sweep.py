"""Values of flags times seeds: `python -m experiments.sweep --vary=NAME=VALUE,VALUE --workdir=...`.

Every combination of `--vary` (give it once a flag), or every row of `--points_path`, runs on
`--num_seeds` seeds from `--seed` on, each in a folder of its own in `--workdir`: as train, or as
compare if `--methods` or `--policies` is given. `--shard=i/n` runs the i-th of n shares,
`--dry_run` only lists the runs. The same command goes on, and writes the table sweep.csv.
"""

from collections.abc import Set

from experiments.config import RunConfig
from experiments.study import app, sweep


def main(config: RunConfig, given: Set[str]) -> None:
    """Runs one share of the points times seeds, and writes the table of all of them."""
    sweep.sweep(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
