"""One method, one seed: `python -m experiments.train --method=hasa`."""

from experiments import flags
from experiments.study import app, build
from experiments.study import run as study
from experiments.study.arm import Arm
from hasa_jax import UserError


def main() -> None:
    """Runs `--method` under its policy, or `--policy`, on `--seed`."""
    for name in ("methods", "policies", "num_seeds", "reference"):
        if flags.FLAGS[name].present:
            raise UserError(f"--{name} is for compare; train runs one --method on one --seed")
    method = flags.FLAGS.method
    arm = Arm(method, build.build_method(method).policy)
    study.run_study("train", [arm], [flags.FLAGS.seed])


if __name__ == "__main__":
    app.run_app(main)
