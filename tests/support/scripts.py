"""The scripts, run in this process or in one of their own, with what they print."""

import atexit
import contextlib
import csv
import functools
import importlib
import inspect
import io
import os
import tempfile
from pathlib import Path
from typing import NamedTuple

import jax
from jax.experimental.compilation_cache import compilation_cache

from experiments.study import app
from hasa_jax import DATASETS, UserError
from hasa_jax.datasets import dataset_builder
from tests.support import forks

ROOT = Path(__file__).resolve().parents[2]
SMALL = [
    "--num_titles=300",
    "--vocab_size=40",
    "--embed_dim=4",
    "--hidden_dim=8",
    "--num_rounds=2",
    "--eval_every=1",
    "--max_length=6",
]
OF_DATA = ("num_titles", "vocab_size", "max_length")
VECTORS = [
    "--dataset=synthetic_images",
    "--model=mlp",
    "--num_images=120",
    "--image_size=4",
    "--num_classes=3",
    "--num_clients=4",
    "--hidden_dim=4",
    "--norm=layer",
    "--client_optimizer=sgd",
    "--client_lr=0.1",
    "--num_rounds=2",
    "--eval_every=1",
    "--execution=masked",
    "--mesh=clients:1",
]
"""The smallest run that there is: what is compiled is compiled in a second or two."""


class Done(NamedTuple):
    """What a script leaves behind beside its files."""

    returncode: int
    stdout: str
    stderr: str


class Watched(io.StringIO):
    """A stream that calls a function after every line."""

    def __init__(self, seen):
        super().__init__()
        self.seen = seen

    def write(self, text):
        count = super().write(text)
        for line in text.splitlines():
            self.seen(line)
        return count


def run(script, *arguments, seen=lambda line: None):
    """Runs a script in this process; `seen` gets every line that it prints."""
    module = importlib.import_module(f"experiments.{script}")
    out, err = Watched(seen), io.StringIO()
    with (
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        compiled_programs(),
    ):
        positional = getattr(module, "POSITIONAL", "")
        words = [script, *map(str, arguments)]
        status = app.attempt(module.main, words, lambda config: None, positional)
    return Done(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def compiled_programs():
    """Lets runs in this process use compiled programs again; afterwards JAX is as it was."""
    kept = {
        "jax_enable_compilation_cache": True,
        "jax_compilation_cache_dir": compiled("here"),
        "jax_persistent_cache_min_compile_time_secs": 0.0,
        "jax_persistent_cache_min_entry_size_bytes": -1,
    }
    before = {name: jax.config.values[name] for name in kept}
    compilation_cache.reset_cache()
    for name, value in kept.items():
        jax.config.update(name, value)
    try:
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)
        compilation_cache.reset_cache()


_FULL_EFFORT = (
    "--xla_backend_optimization_level=3 --xla_cpu_use_fusion_emitters=true "
    "--xla_cpu_parallel_codegen_split_count=32"
)


def start_process(script, *arguments, quick=True):
    """Starts a script in a process of its own, as a user does; `quick` compiles worse."""
    own = [str(argument) for argument in arguments]
    return forks.Process(script, own, cwd=ROOT, environment=environment_of(quick=quick))


def run_process(script, *arguments, quick=True):
    """Runs a script in a process of its own to its end."""
    return start_process(script, *arguments, quick=quick).wait()


def small(*arguments):
    """SMALL without the sizes that the data set of these arguments does not have."""
    flag = "--dataset="
    dataset = next((a.removeprefix(flag) for a in arguments if a.startswith(flag)), None)
    try:
        builder = dataset_builder(dataset or "synthetic_titles")
    except UserError:  # Reported whatever else is given.
        builder = DATASETS["synthetic_titles"]
    read = inspect.signature(builder).parameters
    unread = tuple(f"--{name}=" for name in OF_DATA if name not in read)
    return [argument for argument in SMALL if not argument.startswith(unread)]


def records_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@functools.cache
def compiled(users):
    """A folder in which runs of this session share their compiled programs."""
    folder = tempfile.TemporaryDirectory(prefix=f"hasa_jax-tests-{users}-")
    atexit.register(folder.cleanup)
    return folder.name


def environment_of(*, quick=True):
    """The environment of a user's shell; `quick` compiles worse, else XLA tries its hardest."""
    ours = ("JAX_PLATFORMS", "XLA_FLAGS")
    environment = {k: v for k, v in os.environ.items() if k not in ours}
    environment["PYTHONPATH"] = str(ROOT)
    # Flags that a user sets are left as they are, so that short runs are not compiled quickly.
    environment["XLA_FLAGS"] = forks.COMPILES_QUICKLY if quick else _FULL_EFFORT
    environment["JAX_COMPILATION_CACHE_DIR"] = compiled("processes")
    return environment
