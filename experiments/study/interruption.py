"""Requests to stop: the first SIGTERM or SIGINT lets a run finish its block, the second ends it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def stop_requests() -> Iterator[Callable[[], bool]]:
    """Takes the first SIGTERM or SIGINT as a request; a second one acts as it did before.

    Yields:
      A function that returns whether a stop was requested.
    """
    requested = False
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def request(number: int, frame: object) -> None:
        nonlocal requested
        del number, frame
        requested = True
        restore()

    for number in _SIGNALS:
        signal.signal(number, request)
    try:
        yield lambda: requested
    finally:
        restore()
