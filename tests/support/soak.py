"""Kills a run at random moments until it ends, again and again: `python -m tests.support.soak`.

Every kill is a SIGKILL to the process of `experiments.train`, at a seeded random moment of its
life or, every other time, while a checkpoint is being written. The same command is then started
again. Each run that reaches its end must have the parameters and CSV files of one that was never
killed, to the byte.
"""

import random
import signal
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags, logging

from hasa_jax.simulation.checkpoint import read_arrays
from tests.support.scripts import VECTORS, start_process

_KILLS = flags.DEFINE_integer("kills", 50, "Kills to survive.", 1)
_SEED = flags.DEFINE_integer("kill_seed", 0, "Seed of the moments.")

RUN = [
    *VECTORS,
    "--policy=hasa",
    "--num_rounds=20",
    "--checkpoint_every=1",
]
_LIFE = 4.0
"""Longest life of a process that is to be killed, in seconds; half of it is starting up."""


def start(workdir):
    """Starts the run in a process of its own."""
    return start_process("train", *RUN, f"--workdir={workdir}")


def finish(workdir):
    """Runs to the end."""
    done = start(workdir).wait()
    if done.returncode:
        raise RuntimeError(done.stderr)


def results_of(workdir):
    """Returns everything that must not depend on kills, as bytes."""
    tables = {name: (workdir / f"{name}.csv").read_bytes() for name in ("metrics", "summary")}
    (folder,) = (workdir / "checkpoints").iterdir()
    arrays = {name: array.tobytes() for name, array in read_arrays(folder).items()}
    return tables | arrays | {"table.md": (workdir / "table.md").read_bytes()}


def kill_somewhere(process, workdir, generator, while_writing):
    """Kills the process at a random moment; returns whether it still lived."""
    ends = time.monotonic() + generator.uniform(0.0, _LIFE)
    folder = workdir / "checkpoints"
    while process.running():
        writing = any(folder.glob("*/*tmp*")) if while_writing else False
        if writing or (not while_writing and time.monotonic() > ends):
            time.sleep(generator.uniform(0.0, 0.02) if writing else 0.0)
            process.send(signal.SIGKILL)
            break
        time.sleep(0.0005)
    return process.wait().returncode < 0


def soak(kills, seed, report=print):
    """Kills runs and restarts them.

    Args:
      kills: how many kills to survive.
      seed: seed of the moments.
      report: takes a line for each run that reached its end.

    Returns:
      `(kills, kills while a checkpoint was written, runs ended, of them equal)`.
    """
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        finish(root / "plain")
        expected = results_of(root / "plain")
        done = writing = ended = equal = 0
        while done < kills:
            workdir = root / f"killed{ended}"
            alive = True
            while done < kills and alive:
                while_writing = done % 2 == 1
                process = start(workdir)
                alive = kill_somewhere(process, workdir, generator, while_writing)
                done += alive
                writing += alive and while_writing
            if alive:
                finish(workdir)
            ended += 1
            equal += results_of(workdir) == expected
            report(
                f"{done} kills, {writing} while writing: {equal} of {ended} runs equal to the byte"
            )
        return done, writing, ended, equal


def main(argv):
    """Prints the outcome; fails unless every run is equal."""
    del argv
    logging.set_verbosity(logging.FATAL)
    _, _, ended, equal = soak(_KILLS.value, _SEED.value)
    sys.exit(ended != equal)


if __name__ == "__main__":
    app.run(main)
