"""Methods, or policies, times matched seeds: `python -m experiments.compare`."""

from experiments import app, build, flags, study

FLAGS = flags.FLAGS


def main() -> None:
    """Runs `--methods`, or `--policies` of one method, on `--num_seeds` seeds from `--seed` on."""
    if FLAGS.methods:
        named = [item.partition(":") for item in FLAGS.methods]
        arms = [study.Arm(m, policy or build.build_method(m).policy) for m, _, policy in named]
    else:
        arms = [study.Arm(FLAGS.method, policy) for policy in FLAGS.policies]
    study.run_study("compare", arms, range(FLAGS.seed, FLAGS.seed + FLAGS.num_seeds))


if __name__ == "__main__":
    app.run_app(main)
