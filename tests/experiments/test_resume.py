"""The scripts go on where they were stopped: real processes, signals and full disks."""

import json
import os
import signal
import subprocess
import sys

import pytest

from tests.experiments.test_train_and_compare import ROOT, SMALL, environment_of, run

NUM_ROUNDS = 30  # So many that a signal after the first finds the run alive.
ROUNDS = [*SMALL, f"--num_rounds={NUM_ROUNDS}", "--checkpoint_every=1", "--policy=hasa"]

# Who starts the tests in the background may have had SIGINT ignored.
AS_IN_A_TERMINAL = """
import runpy, signal
signal.signal(signal.SIGINT, signal.default_int_handler)
runpy.run_module("experiments.train", run_name="__main__", alter_sys=True)
"""


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in ("metrics.csv", "summary.csv")}


def begin(*arguments):
    return subprocess.Popen(
        [sys.executable, "-c", AS_IN_A_TERMINAL, *map(str, arguments)],
        cwd=ROOT,
        env=environment_of(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def stop_after_a_line(process, number=signal.SIGTERM):
    """Sends a signal when the first round is told; returns (status, output, errors)."""
    told = ""
    for line in process.stdout:
        told += line
        if "round 1 " in line:
            process.send_signal(number)
            break
    output, errors = process.communicate(timeout=120)
    return process.returncode, told + output, errors


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole") / "run"
    done = run("train", *ROUNDS, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)]
)
def test_a_signal_ends_in_a_checkpoint_and_the_same_command_goes_on(number, whole, tmp_path):
    arguments = [*ROUNDS, f"--workdir={tmp_path}"]
    status, output, errors = stop_after_a_line(begin(*arguments), number)
    assert (status, errors) == (0, "")
    assert "run the same command again to go on" in output.splitlines()[-1]
    assert not (tmp_path / "metrics.csv").exists()
    done = run("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path) == bytes_of(whole)
    assert f"round {NUM_ROUNDS}" in done.stdout


def test_without_checkpoints_a_signal_says_that_the_run_starts_over(tmp_path):
    process = begin(*ROUNDS, "--checkpoint_every=0", f"--workdir={tmp_path}")
    status, _, errors = stop_after_a_line(process, signal.SIGINT)
    assert status == 2
    assert errors == "error: interrupted; run the same command again to start over\n"
    assert not (tmp_path / "checkpoints").exists()


def test_other_flags_are_refused_and_more_rounds_are_not(whole, tmp_path):
    arguments = [*ROUNDS, f"--workdir={tmp_path}"]
    assert run("train", *arguments, "--num_rounds=3").returncode == 0
    done = run("train", *arguments, "--budget=0.7")
    assert done.returncode == 2
    assert "budget=0.5 there, 0.7 here" in done.stderr
    done = run("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path) == bytes_of(whole)
    done = run("train", *arguments, "--num_rounds=3")
    assert done.returncode == 2
    assert f"num_rounds={NUM_ROUNDS} there, 3 here" in done.stderr


def test_other_devices_are_refused(tmp_path):
    arguments = [*ROUNDS, f"--workdir={tmp_path}"]
    assert run("train", *arguments, "--host_devices=1").returncode == 0
    done = run("train", *arguments, "--host_devices=2")
    assert done.returncode == 2
    assert len(done.stderr.splitlines()) == 1
    assert "began on cpu with --host_devices=1 --client_block=1" in done.stderr
    assert run("train", *arguments, "--host_devices=1").returncode == 0


def test_a_workdir_is_for_one_process_at_a_time(tmp_path):
    arguments = [*ROUNDS, f"--workdir={tmp_path}"]
    first = begin(*arguments)
    for line in first.stdout:
        if "round 1 " in line:
            break
    done = run("train", *arguments)
    assert done.returncode == 2
    assert f"another process runs in workdir {tmp_path}" in done.stderr
    first.communicate()
    assert first.returncode == 0


def test_other_code_is_told(tmp_path):
    arguments = [*ROUNDS, f"--workdir={tmp_path}"]
    assert run("train", *arguments, "--num_rounds=2").returncode == 0
    manifest = json.loads((tmp_path / "run.json").read_text())
    manifest["versions"]["jax"] = "0.1"
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    done = run("train", *arguments, "--num_rounds=3")
    assert done.returncode == 0
    assert "began with other code or versions" in done.stdout
    manifest = json.loads((tmp_path / "run.json").read_text())
    assert [code["versions"]["jax"] for code in manifest["began_with"]] == ["0.1"]


@pytest.fixture
def small_disk():
    """Makes a folder a file system of two megabytes."""
    mounted = []

    def mount(folder):
        folder.mkdir(parents=True)
        command = ["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", folder]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
        mounted.append(folder)

    yield mount
    for folder in mounted:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.parametrize(
    ("disk", "told"),
    # Of a disk that has no room for anything, rows or checkpoints notice first.
    [("run/checkpoints", "checkpoints in"), ("run", "o space left")],
)
def test_a_full_disk_is_told_and_loses_nothing(disk, told, whole, small_disk, tmp_path):
    """There is room for rows but for no checkpoint, or for nothing at all."""
    small_disk(tmp_path / disk)
    workdir = tmp_path / "run"
    arguments = [*ROUNDS, f"--workdir={workdir}"]
    status, _, _ = stop_after_a_line(begin(*arguments))
    assert status == 0
    before = {p: p.read_bytes() for p in (workdir / "checkpoints").rglob("*") if p.is_file()}
    free, filler = os.statvfs(tmp_path / disk), tmp_path / disk / "filler"
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 3 * free.f_frsize))
    done = run("train", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert told in done.stderr
    after = {p: p.read_bytes() for p in (workdir / "checkpoints").rglob("*") if p.is_file()}
    assert before.items() <= after.items()
    filler.unlink()
    done = run("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert bytes_of(workdir) == bytes_of(whole)
