"""Methods on fixed tasks: `python -m experiments.benchmark --suite=small --workdir=...`.

Every task, budget and seed of the suite is a run of compare with a folder of its own in
`--workdir`. `--data_dir` is the folder of all data. `--own_method=MODULE:FACTORY` adds a method of
your own to every task. `--shard=i/n` runs the i-th of n shares, `--dry_run` only lists the runs.
The same command goes on, and writes benchmark.md, benchmark.csv and benchmark.png. It measures
accuracy at equal budgets; how fast the code runs is what the folder benchmarks/ measures.
"""

from collections.abc import Set

from experiments.config import RunConfig
from experiments.study import app, suite_run


def main(config: RunConfig, given: Set[str]) -> None:
    """Runs one share of a suite, and writes the table and the picture of all of it."""
    suite_run.benchmark(config, given)


def start() -> None:
    """Runs the script on the command line of this process."""
    app.run_app(main)


if __name__ == "__main__":
    start()
