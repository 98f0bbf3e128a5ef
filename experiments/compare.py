"""Policies times matched seeds: `python -m experiments.compare --policies=uniform,hasa`."""

from experiments import flags, study


def main() -> None:
    """Runs `--policies` on `--num_seeds` matched seeds from `--seed` on."""
    first = flags.FLAGS.seed
    study.run_study("compare", flags.FLAGS.policies, range(first, first + flags.FLAGS.num_seeds))


if __name__ == "__main__":
    flags.run_app(main)
