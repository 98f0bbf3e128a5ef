"""Compiled programs are kept where the user or the environment says; devices as well."""

import subprocess
import sys

import jax
import pytest

from experiments.study import compilation, devices
from tests.support.scripts import ROOT, VECTORS, environment_of, run_process

ROUND = [*VECTORS, "--num_rounds=1", "--checkpoint_every=0"]


@pytest.mark.slow
def test_a_cache_that_cannot_be_written_is_answered_by_one_warning(tmp_path):
    taken = tmp_path / "taken"
    taken.write_text("mine", encoding="utf-8")
    where = f"--compilation_cache={taken / 'programs'}"
    done = run_process("train", where, f"--workdir={tmp_path / 'w'}", *ROUND)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("warning: ")
    assert "--compilation_cache" in line
    assert (tmp_path / "w" / "table.md").exists()


def test_the_cache_goes_where_the_environment_says(monkeypatch):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert compilation.default_folder() == "~/.cache/hasa_jax/xla"
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert compilation.default_folder() == "/caches/hasa_jax/xla"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "/programs")
    assert compilation.default_folder() == "/programs"


def printed_by(code):
    """Runs code in a process of its own, in which JAX has not started; returns what it prints."""
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, cwd=ROOT, env=environment_of(), capture_output=True, text=True, check=True
    )
    return done.stdout


def test_a_host_is_split_into_its_cores():
    code = (
        "import jax; from experiments.study import devices; devices.split_host(0); "
        "print(jax.device_count(), min(devices.usable_cores(), 8))"
    )
    count, cores = printed_by(code).split()
    assert count == cores


def test_a_host_is_not_split_against_the_environment(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_force_host_platform_device_count=2")
    before = jax.config.values["jax_num_cpu_devices"]
    devices.split_host(5)  # Would fail: JAX has started already.
    assert jax.config.values["jax_num_cpu_devices"] == before != 5


def test_kernels_are_chosen_unless_the_environment_has(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--other")
    devices.choose_kernels(True)
    assert devices.os.environ["XLA_FLAGS"] == "--other --xla_gpu_deterministic_ops=true"
    devices.choose_kernels(False)
    assert devices.os.environ["XLA_FLAGS"] == "--other --xla_gpu_deterministic_ops=true"


def test_devices_wait_for_one_another_unless_the_environment_has_a_limit(monkeypatch):
    warn = "--xla_cpu_collective_call_warn_stuck_timeout_seconds"
    end = "--xla_cpu_collective_call_terminate_timeout_seconds"
    monkeypatch.setenv("XLA_FLAGS", f"--other {end}=7")
    for _ in range(2):
        devices.wait_for_one_another()
        assert devices.os.environ["XLA_FLAGS"] == f"--other {end}=7 {warn}=3600"


def test_a_file_of_flags_is_left_alone(monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "flags.txt")
    devices.wait_for_one_another()
    devices.choose_kernels(True)
    assert devices.os.environ["XLA_FLAGS"] == "flags.txt"


def test_xla_knows_how_long_devices_wait():
    # XLA ends a process at a flag that it does not know.
    code = (
        "import os; from experiments.study import devices; devices.wait_for_one_another(); "
        "import jax; jax.devices(); print(os.environ['XLA_FLAGS'])"
    )
    assert "terminate_timeout_seconds=2592000" in printed_by(code)
