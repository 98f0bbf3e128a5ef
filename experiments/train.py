"""One policy, one seed: `python -m experiments.train --policy=hasa`."""

from experiments import flags, study


def main() -> None:
    """Runs `--policy` on `--seed`."""
    study.run_study("train", [flags.FLAGS.policy], [flags.FLAGS.seed])


if __name__ == "__main__":
    flags.run_app(main)
