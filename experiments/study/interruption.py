"""Requests to stop: the first signal lets a run finish its block, the second ends it."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import socket
import threading
from collections.abc import Iterator

from hasa_jax.execution import processes
from hasa_jax.simulation.writers import say

_NAMES = ("SIGTERM", "SIGINT", "SIGHUP")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""What asks a run to stop; Windows has no SIGHUP, which a terminal sends that is closed."""

_GRACE = 2.0
"""Seconds in which a second request may end a run in order."""


class Stopped(Exception):
    """A run ended at a request, with a checkpoint.

    Attributes:
      number: the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"signal {number}")
        self.number = number


def exit_status(number: int) -> int:
    """Returns the exit status of a process that a signal ended: 128 and its number."""
    return 128 + number


@dataclasses.dataclass
class StopRequest:
    """Whether a run is asked to stop; calling it says so.

    Processes that share a run call it at the same places, and all of them stop if one is asked.

    Attributes:
      number: the signal; 0 for none.
    """

    number: int = 0

    def __call__(self) -> bool:
        """Returns whether there was a request, to this process or another one."""
        # A signal may come while processes wait for each other: it counts at the next call.
        if found := processes.largest(self.number):
            self.number = found
        return found != 0


@contextlib.contextmanager
def stop_requests() -> Iterator[StopRequest]:
    """Takes the first of `SIGNALS` as a request; a second one acts as it did before.

    A signal that this process ignores, such as SIGHUP under nohup, stays ignored.

    Yields:
      The request, which a signal makes.
    """
    requested = StopRequest()
    before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: object) -> None:
        del frame
        requested.number = number
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        with _announced():
            yield requested
    finally:
        restore()


@contextlib.contextmanager
def _announced() -> Iterator[None]:
    """Answers requests at once, while rounds may still run for a minute.

    Python handles a signal only between its own instructions, and a compiled round is none. What
    the operating system writes into a socket meanwhile is read by a thread.
    """
    ended = threading.Event()
    reader, writer = socket.socketpair()
    writer.setblocking(False)
    before = signal.set_wakeup_fd(writer.fileno(), warn_on_full_buffer=False)
    thread = threading.Thread(target=_announce, args=(reader, ended), name="requests", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        signal.set_wakeup_fd(before)
        writer.close()
        thread.join()
        reader.close()


def _announce(reader: socket.socket, ended: threading.Event) -> None:
    """Says that the first request was taken, and ends the process at the second."""
    asked = 0
    while received := reader.recv(1):
        asked += received[0] in SIGNALS
        if asked == 1 and received[0] in SIGNALS:
            with contextlib.suppress(OSError):  # A full disk ends no run before its checkpoint.
                say(
                    "asked to stop: the run ends with a checkpoint after the rounds that it "
                    "computes; a second request ends it at once"
                )
        elif asked == 2 and not ended.wait(_GRACE):
            # The main thread is in a compiled round, so it hears of neither.
            os._exit(exit_status(received[0]))
