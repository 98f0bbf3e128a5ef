"""Other processes: a fresh one for every measurement, and two that take turns."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks import turns

_DEVICE_COUNT = "--xla_force_host_platform_device_count"

_SECONDS_TO_END = 60
"""After that a process that is asked for nothing more is killed."""


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


class Turns(NamedTuple):
    """A process that waits until it is asked for rounds.

    Attributes:
      ask: how often to repeat a round -> their mean seconds, as the process measures them.
      start_seconds: from its start until its first round was done.
      pid: its id.
    """

    ask: Callable[[int], float]
    start_seconds: float
    pid: int


@contextlib.contextmanager
def taking_turns(command: Sequence[str], env: Mapping[str, str]) -> Iterator[Turns]:
    """Starts a process that measures when it is asked to, as `benchmarks.turns` does.

    Args:
      command: what to run.
      env: its environment.

    Yields:
      The process, once its first round is done; it waits unless it is asked.

    Raises:
      ProcessError: if it fails.
    """
    began, pipe = time.perf_counter(), subprocess.PIPE
    process = subprocess.Popen(command, env=env, stdin=pipe, stdout=pipe, text=True)
    assert process.stdin is not None
    assert process.stdout is not None
    requests, answers = process.stdin, process.stdout

    def answer(start: str) -> str:
        for line in answers:
            if line.startswith(start):
                return line.removeprefix(start).strip()
        raise ProcessError(command, process.wait())

    def ask(repeats: int) -> float:
        try:
            requests.write(f"{repeats}\n")
            requests.flush()
        except BrokenPipeError:
            raise ProcessError(command, process.wait()) from None
        return float(answer(turns.SECONDS))

    try:
        answer(turns.READY)
        yield Turns(ask, time.perf_counter() - began, process.pid)
    finally:
        with contextlib.suppress(BrokenPipeError):
            requests.close()
        try:
            process.wait(_SECONDS_TO_END)
        except subprocess.TimeoutExpired:
            process.kill()
        answers.close()
