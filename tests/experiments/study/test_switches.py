"""Switches of JAX in a user's shell: no effect, or part of a run."""

import contextlib
import json
import os
import subprocess
import sys

import jax
import pytest

from experiments.study import switches
from tests.support import forks
from tests.support.scripts import ROOT, VECTORS, environment_of, run, run_process

CARE = {
    "JAX_ENABLE_X64": "1",
    "JAX_NUMPY_DTYPE_PROMOTION": "strict",
    "JAX_NUMPY_RANK_PROMOTION": "raise",
    "JAX_DEBUG_NANS": "1",
    "JAX_DEBUG_INFS": "1",
    "JAX_DEBUG_KEY_REUSE": "1",
    "JAX_TRANSFER_GUARD": "disallow",
    "JAX_LEGACY_PRNG_KEY": "error",
}
"""What people have in their shells; none of it may change a number."""

WITH_ADAM = [*VECTORS, "--client_optimizer=adam", "--num_rounds=1", "--server_optimizer=yogi"]


@contextlib.contextmanager
def switched(name, value):
    before = jax.config.values[name]
    jax.config.update(name, value)
    try:
        yield
    finally:
        jax.config.update(name, before)


def of(deterministic_ops=True):
    return switches.deciding_switches(deterministic_ops=deterministic_ops)


def run_under(environment, *arguments):
    whole = {**environment_of(), **environment}
    return forks.Process("train", [*arguments], cwd=ROOT, environment=whole).wait()


@pytest.mark.slow
def test_switches_that_ask_for_care_change_no_number(tmp_path):
    done = run_process("train", *WITH_ADAM, f"--workdir={tmp_path / 'plain'}")
    assert done.returncode == 0, done.stderr
    # On a console that lacks letters of the table, too.
    done = run_under(
        {**CARE, "PYTHONIOENCODING": "ascii"}, *WITH_ADAM, f"--workdir={tmp_path / 'care'}"
    )
    assert (done.returncode, done.stderr) == (0, "")
    table = (tmp_path / "care" / "table.md").read_text(encoding="utf-8")
    assert not table.isascii()
    assert "Student interval" in table
    assert "mean over seeds ? half the" in " ".join(done.stdout.split())
    for name in ("metrics.csv", "summary.csv"):
        assert (tmp_path / "care" / name).read_bytes() == (tmp_path / "plain" / name).read_bytes()
    manifest = json.loads((tmp_path / "care" / "run.json").read_text(encoding="utf-8"))
    assert "JAX_ENABLE_X64" not in manifest["switches"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("jax_default_prng_impl", "rbg"),
        ("jax_threefry_partitionable", False),
        ("jax_random_seed_offset", 7),
        ("jax_default_matmul_precision", "bfloat16"),
        ("jax_disable_jit", True),
    ],
)
def test_switches_that_numbers_depend_on_are_found(name, value):
    usual = of()
    with switched(name, value):
        assert of() == {**usual, name.upper(): value}
    assert of() == usual


@pytest.mark.parametrize(
    ("flags", "deterministic_ops", "expected"),
    [
        ("", True, {}),
        ("--xla_gpu_deterministic_ops=true", True, {}),
        (
            "--xla_gpu_deterministic_ops=false",
            True,
            {"XLA_FLAGS": "--xla_gpu_deterministic_ops=false"},
        ),
        ("--xla_gpu_deterministic_ops=false", False, {}),
        ("--xla_force_host_platform_device_count=4 --xla_dump_to=dumps", True, {}),
        ("--xla_cpu_collective_call_warn_stuck_timeout_seconds=1", True, {}),
        (" --xla_b=1  --xla_a=2 ", True, {"XLA_FLAGS": "--xla_a=2 --xla_b=1"}),
        ("--xla_a=1 --xla_a=2 --xla_a=2", True, {"XLA_FLAGS": "--xla_a=2"}),
    ],
)
def test_flags_of_xla(flags, deterministic_ops, expected, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", flags)
    assert of(deterministic_ops) == expected


def test_another_random_stream_does_not_go_on(tmp_path):
    arguments = [*VECTORS, "--checkpoint_every=1", f"--workdir={tmp_path}"]
    assert run("train", *arguments, "--num_rounds=1").returncode == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    with switched("jax_default_prng_impl", "rbg"):
        done = run("train", *arguments)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "under other switches of JAX (JAX_DEFAULT_PRNG_IMPL is unset there, rbg here)" in line
    assert {path: path.read_bytes() for path in before} == before


def test_a_value_that_jax_does_not_take_is_one_line():
    command = [sys.executable, "-m", "experiments.tables"]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "JAX_ENABLE_X64": "perhaps"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert "JAX_ENABLE_X64" in line
