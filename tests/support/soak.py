"""Kills a real run at random moments until it ends, again and again: `python -m tests.support.soak`.

Every kill is a SIGKILL to the process of `experiments.train`, at a seeded random moment of its
life or, every other time, while a checkpoint is being written. The same command is then started
again. Each run that reaches its end must have the parameters and CSV files of one that nobody
killed, to the byte.
"""

import os
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from absl import app, flags, logging

from hasa_jax.simulation.checkpoint import read_arrays

_KILLS = flags.DEFINE_integer("kills", 50, "Kills to survive.", 1)
_SEED = flags.DEFINE_integer("kill_seed", 0, "Seed of the moments.")

ROOT = Path(__file__).resolve().parents[2]
RUN = [
    "--policy=hasa",
    "--num_titles=300",
    "--vocab_size=40",
    "--embed_dim=8",
    "--hidden_dim=16",
    "--max_length=6",
    "--num_rounds=60",
    "--eval_every=2",
    "--checkpoint_every=2",
    "--execution=sliced",
]
_LIFE = 8.0
"""Longest life of a process that is to be killed, in seconds; most of it is starting up."""


def start(workdir, cache, *more):
    """Starts the run in a process of its own."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(cache),
    }
    command = [sys.executable, "-m", "experiments.train", *RUN, f"--workdir={workdir}", *more]
    with (Path(workdir).parent / "log").open("ab") as log:
        return subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)


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
    while process.poll() is None:
        writing = any(folder.glob("*/*tmp*")) if while_writing else False
        if writing or (not while_writing and time.monotonic() > ends):
            time.sleep(generator.uniform(0.0, 0.02) if writing else 0.0)
            process.kill()
            break
        time.sleep(0.0005)
    return process.wait() < 0


def soak(kills, seed, tell=print):
    """Kills runs and restarts them.

    Args:
      kills: how many kills to survive.
      seed: seed of the moments.
      tell: takes a line for each run that reached its end.

    Returns:
      `(kills, kills while a checkpoint was written, runs ended, of them equal)`.
    """
    generator = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        root = Path(root)
        plain = root / "plain"
        if start(plain, root / "cache").wait():
            raise RuntimeError((root / "log").read_text(encoding="utf-8"))
        expected = results_of(plain)
        done = writing = ended = equal = 0
        while done < kills:
            workdir = root / f"killed{ended}"
            alive = True
            while done < kills and alive:
                while_writing = done % 2 == 1
                alive = kill_somewhere(
                    start(workdir, root / "cache"), workdir, generator, while_writing
                )
                done += alive
                writing += alive and while_writing
            if alive and start(workdir, root / "cache").wait():
                raise RuntimeError((root / "log").read_text(encoding="utf-8"))
            ended += 1
            equal += results_of(workdir) == expected
            tell(
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
