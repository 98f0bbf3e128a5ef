"""Methods, or policies, times matched seeds: `python -m experiments.compare`."""

from experiments import flags
from experiments.study import app, build
from experiments.study import run as study
from experiments.study.arm import Arm
from experiments.study.scores import named_score
from hasa_jax import UserError

FLAGS = flags.FLAGS


def main() -> None:
    """Runs `--methods`, or `--policies` of one method, on `--num_seeds` seeds from `--seed` on."""
    if FLAGS.methods:
        if FLAGS["policies"].present or FLAGS["method"].present:
            raise UserError(
                "--method and --policies are for one method; with --methods, write method:policy"
            )
        named = [item.partition(":") for item in FLAGS.methods]
        arms = [Arm(m, policy or build.build_method(m).policy) for m, _, policy in named]
    else:
        if FLAGS.policy is not None:
            raise UserError("--policy is for train or --methods; compare takes --policies")
        arms = [Arm(FLAGS.method, policy) for policy in FLAGS.policies]
    if len({(arm.method, *named_score(arm.policy)) for arm in arms}) < len(arms):
        raise UserError("one method with one policy and score is named twice")
    study.run_study("compare", arms, range(FLAGS.seed, FLAGS.seed + FLAGS.num_seeds))


if __name__ == "__main__":
    app.run_app(main)
