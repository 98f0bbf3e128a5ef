"""Methods, or policies, times matched seeds: `python -m experiments.compare`."""

from experiments import app, build, flags, study

FLAGS = flags.FLAGS


def main() -> None:
    """Runs `--methods`, or `--policies` of one method, on `--num_seeds` seeds from `--seed` on."""
    if FLAGS.methods:
        arms = [study.Arm(method, build.choice(method, "policy")) for method in FLAGS.methods]
    else:
        arms = [study.Arm(FLAGS.method, policy) for policy in FLAGS.policies]
    study.run_study("compare", arms, range(FLAGS.seed, FLAGS.seed + FLAGS.num_seeds))


if __name__ == "__main__":
    app.run_app(main)
