"""Requests to stop: the first signal lets a run finish its block, the second ends it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

_NAMES = ("SIGTERM", "SIGINT", "SIGHUP")
SIGNALS = tuple(getattr(signal, name) for name in _NAMES if hasattr(signal, name))
"""What asks a run to stop; Windows has no SIGHUP, which a terminal sends that is closed."""


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


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], int]]:
    """Takes the first of `SIGNALS` as a request; a second one acts as it did before.

    A signal that this process ignores, such as SIGHUP under nohup, stays ignored.

    Yields:
      A function that returns which signal requested a stop; 0 for none.
    """
    requested = 0
    before = {number: signal.getsignal(number) for number in SIGNALS}
    before = {number: handler for number, handler in before.items() if handler != signal.SIG_IGN}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: object) -> None:
        nonlocal requested
        del frame
        requested = number
        restore()

    for number in before:
        signal.signal(number, request)
    try:
        yield lambda: requested
    finally:
        restore()
