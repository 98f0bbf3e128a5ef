"""Memory of a process and of those that it has started."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.peers.memory import peak_bytes

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="there is no /proc")
HOLDS = "held = bytearray({size}); held[::4096] = b'x' * len(held[::4096]); "
WAITS = "print('here', flush=True); input()"


def started(text):
    process = subprocess.Popen(
        [sys.executable, "-c", text], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "here\n"
    return process


def test_the_peak_stays_after_memory_is_given_back():
    with started(HOLDS.format(size=200 << 20) + "del held; " + WAITS) as process:
        assert 200 << 20 < peak_bytes(process.pid) < 300 << 20
        process.communicate("\n")


def test_children_count():
    child = HOLDS.format(size=100 << 20) + WAITS
    text = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {child!r}])"
    with started(text) as process:
        assert 100 << 20 < peak_bytes(process.pid) < 200 << 20
        process.communicate("\n")


def test_a_process_that_is_not_there():
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    assert peak_bytes(process.pid) is None
    assert peak_bytes(os.getpid()) > 0
