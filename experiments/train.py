"""One method, one seed: `python -m experiments.train --method=hasa`."""

from experiments import app, build, flags, study


def main() -> None:
    """Runs `--method` under its policy, or `--policy`, on `--seed`."""
    method = flags.FLAGS.method
    arm = study.Arm(method, build.build_method(method).policy)
    study.run_study("train", [arm], [flags.FLAGS.seed])


if __name__ == "__main__":
    app.run_app(main)
