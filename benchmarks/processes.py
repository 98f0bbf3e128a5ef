"""Other processes: a fresh one for every measurement, and two that take turns."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

_DEVICE_COUNT = "--xla_force_host_platform_device_count"


class ProcessError(Exception):
    """A process failed; it has told on standard error why.

    Attributes:
      status: its exit status.
    """

    def __init__(self, command: Sequence[str], status: int):
        super().__init__(f"exit status {status} of: {' '.join(command)}")
        self.status = status


def cores() -> int:
    """Returns the cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def environment(host_devices: int, **changes: str) -> dict[str, str]:
    """Returns the environment of a process whose JAX sees so many devices on the CPU.

    Args:
      host_devices: how many.
      **changes: further variables.

    Returns:
      Variables for `subprocess`; they have to be there before JAX starts.
    """
    flags = re.sub(rf"{_DEVICE_COUNT}=\S+", "", os.environ.get("XLA_FLAGS", ""))
    flags = f"{flags} {_DEVICE_COUNT}={host_devices}".strip()
    return {**os.environ, **changes, "XLA_FLAGS": flags}


def measure_command(spec: Mapping[str, Any]) -> list[str]:
    """Returns the command of `benchmarks.measure` for a specification."""
    return [sys.executable, "-m", "benchmarks.measure", json.dumps(spec)]


def run(command: Sequence[str], env: Mapping[str, str]) -> dict[str, Any]:
    """Runs a process to its end.

    Args:
      command: what to run.
      env: its environment.

    Returns:
      The JSON object on the last line of its standard output.

    Raises:
      ProcessError: if it fails.
    """
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise ProcessError(command, done.returncode)
    return json.loads(done.stdout.splitlines()[-1])


@contextlib.contextmanager
def taking_turns(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Callable[[], float]]:
    """Starts a process that measures when it is asked to, as `benchmarks.turns` does.

    Args:
      command: what to run.
      env: its environment.

    Yields:
      A function that has it run one round, and returns the seconds; other than that it waits.

    Raises:
      ProcessError: if it fails.
    """
    pipe = subprocess.PIPE
    process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    ask, answers = process.stdin, process.stdout

    def answer() -> str:
        line = answers.readline()
        if not line:
            raise ProcessError(command, process.wait())
        return line.strip()

    def turn() -> float:
        try:
            ask.write("\n")
            ask.flush()
        except BrokenPipeError:
            raise ProcessError(command, process.wait()) from None
        return float(answer())

    try:
        while answer() != "ready":
            pass
        yield turn
    finally:
        with contextlib.suppress(BrokenPipeError):
            ask.close()
        process.wait()
