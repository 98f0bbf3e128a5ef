"""Signals and full disks: real processes end in order, and the same command goes on."""

import os
import pty
import select
import signal
import subprocess
import sys
import threading
import time

import pytest

from experiments.study import interruption, workdir
from experiments.study.interruption import SIGNALS, stop_requests
from tests.support.scripts import (
    ROOT,
    VECTORS,
    environment_of,
    records_of,
    run,
    run_process,
    start_process,
)

NUM_ROUNDS = 20  # So many that a signal after the first finds the run alive.
ROUNDS = [*VECTORS, f"--num_rounds={NUM_ROUNDS}", "--checkpoint_every=1", "--policy=hasa"]


def bytes_of(folder):
    return {name: (folder / name).read_bytes() for name in ("metrics.csv", "summary.csv")}


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """A run that nothing stopped, in the process of the tests."""
    folder = tmp_path_factory.mktemp("full") / "run"
    done = run("train", *ROUNDS, f"--workdir={folder}")
    assert done.returncode == 0, done.stderr
    return folder


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_a_signal_ends_in_a_checkpoint_and_the_same_command_goes_on(number, status, full, tmp_path):
    arguments = [*ROUNDS, f"--workdir={tmp_path}"]
    process = start_process("train", *arguments)
    process.wait_for("  round 1  ")
    process.send(number)
    done = process.wait()
    assert (done.returncode, done.stderr) == (status, "")
    assert done.stdout.count("asked to stop: the run ends with a checkpoint after") == 1
    assert "run the same command again to go on" in done.stdout.splitlines()[-1]
    assert not (tmp_path / "metrics.csv").exists()
    done = run_process("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert bytes_of(tmp_path) == bytes_of(full)
    assert f"round {NUM_ROUNDS}" in done.stdout


def test_without_checkpoints_a_signal_says_that_the_run_starts_over(tmp_path):
    endless = [*ROUNDS, "--num_rounds=9999", "--checkpoint_every=0"]
    process = start_process("train", *endless, f"--workdir={tmp_path}")
    process.wait_for("  round 1  ")
    process.send(signal.SIGINT)
    done = process.wait()
    assert done.returncode == 130
    assert done.stderr == "error: interrupted; run the same command again to start over\n"
    assert not (tmp_path / "checkpoints").exists()


def test_a_workdir_is_for_one_process_at_a_time(tmp_path):
    with workdir.reserved(tmp_path):
        done = run_process("train", *ROUNDS, f"--workdir={tmp_path}")
    assert done.returncode == 2
    assert f"another process runs in workdir {tmp_path}" in done.stderr


def test_a_second_request_ends_a_round_that_computes():
    """A process whose main thread hears no signal, as in a compiled round of minutes."""
    script = (
        "import signal, time\n"
        "from experiments.study import interruption\n"
        "interruption._GRACE = 0.1\n"
        "with interruption.stop_requests():\n"
        "    signal.pthread_sigmask(signal.SIG_BLOCK, interruption.SIGNALS)\n"
        "    print('computing', flush=True)\n"
        "    time.sleep(100)\n"
    )
    command = [sys.executable, "-c", script]
    with subprocess.Popen(command, cwd=ROOT, env=environment_of(), stdout=subprocess.PIPE) as one:
        assert one.stdout.readline() == b"computing\n"
        one.send_signal(signal.SIGINT)
        assert one.stdout.readline().startswith(b"asked to stop: the run ends with a checkpoint")
        assert one.poll() is None
        one.send_signal(signal.SIGINT)
        assert one.wait(60) == 130


def test_a_request_is_answered_while_a_round_computes(monkeypatch):
    """The main thread waits in a call that no signal interrupts, as in a compiled round."""
    reader, writer = os.pipe()
    monkeypatch.setattr(interruption, "say", lambda text: os.write(writer, text.encode()))
    with stop_requests():
        blocked = signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
        sender = threading.Thread(target=os.kill, args=(os.getpid(), signal.SIGTERM))
        answering = [thread for thread in threading.enumerate() if thread.name == "requests"]
        assert len(answering) == 1
        sender.start()
        readable, _, _ = select.select([reader], [], [], 30.0)
        sender.join()
        signal.pthread_sigmask(signal.SIG_SETMASK, blocked)
    assert readable
    assert os.read(reader, 1000).startswith(b"asked to stop: the run ends with a checkpoint after")
    assert not [thread for thread in threading.enumerate() if thread.name == "requests"]
    os.close(reader)
    os.close(writer)


@pytest.mark.parametrize("number", SIGNALS)
def test_the_second_request_acts_as_before(number):
    before = signal.getsignal(number)
    with stop_requests() as requested:
        assert not requested()
        signal.raise_signal(number)
        assert requested()
        assert requested.number == number
        assert signal.getsignal(number) is before
    with stop_requests() as requested:
        assert not requested()
    assert signal.getsignal(number) is before


def test_what_a_process_ignores_stays_ignored():
    """As under nohup, which has SIGHUP ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with stop_requests() as requested:
            signal.raise_signal(signal.SIGHUP)
            assert not requested()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_closed_terminal_ends_in_a_checkpoint(tmp_path):
    """The terminal is gone, and with it what the run would print to."""
    ours, theirs = pty.openpty()
    own_terminal = (
        "import fcntl, os, sys, termios\n"
        "fcntl.ioctl(0, termios.TIOCSCTTY, 0)\n"
        "os.execv(sys.executable, [sys.executable, *sys.argv[1:]])"
    )
    command = ["-m", "experiments.train", *ROUNDS, "--num_rounds=9999", f"--workdir={tmp_path}"]
    process = subprocess.Popen(
        [sys.executable, "-c", own_terminal, *command],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        start_new_session=True,
        cwd=ROOT,
        env=environment_of(),
    )
    os.close(theirs)
    while process.poll() is None and not rounds_in(tmp_path):
        time.sleep(0.01)
    os.close(ours)
    assert process.wait() == 129
    *_, last = records_of(tmp_path / "summary.csv.partial")
    assert int(last["round"]) == max(rounds_in(tmp_path))


def rounds_in(folder):
    """The rounds of the complete checkpoints of a workdir."""
    return [int(path.name) for path in folder.glob("checkpoints/*/*") if path.name.isdigit()]


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
    ("disk", "words"),
    # Of a disk that has no room for anything, records or checkpoints notice first.
    [
        pytest.param("run/checkpoints", "checkpoints in", marks=pytest.mark.slow),
        ("run", "o space left"),
    ],
)
def test_a_full_disk_is_reported_and_loses_nothing(disk, words, full, small_disk, tmp_path):
    """There is room for records but for no checkpoint, or for nothing at all."""
    small_disk(tmp_path / disk)
    folder = tmp_path / "run"
    arguments = [*ROUNDS, f"--workdir={folder}"]
    done = run("train", *arguments, "--num_rounds=1")
    assert done.returncode == 0, done.stderr
    before = {p: p.read_bytes() for p in (folder / "checkpoints").rglob("*") if p.is_file()}
    free, filler = os.statvfs(tmp_path / disk), tmp_path / disk / "filler"
    filler.write_bytes(bytes(free.f_bavail * free.f_frsize - 3 * free.f_frsize))
    done = run_process("train", *arguments)
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("error: ")
    assert words in done.stderr
    after = {p: p.read_bytes() for p in (folder / "checkpoints").rglob("*") if p.is_file()}
    # Records are appended.
    assert all(after[path].startswith(content) for path, content in before.items())
    filler.unlink()
    done = run("train", *arguments)
    assert done.returncode == 0, done.stderr
    assert bytes_of(folder) == bytes_of(full)
