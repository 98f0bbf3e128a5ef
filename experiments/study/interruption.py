"""A wish to stop: the first SIGTERM or SIGINT lets a run finish its block, the second ends it."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


@contextlib.contextmanager
def wish_to_stop() -> Iterator[Callable[[], bool]]:
    """Takes the first SIGTERM or SIGINT as a wish; a second one acts as ever.

    Yields:
      A function that tells whether somebody wished to stop.
    """
    wished = False
    before = {number: signal.getsignal(number) for number in _SIGNALS}

    def wish(number: int, frame: object) -> None:
        nonlocal wished
        del number, frame
        wished = True
        restore()

    def restore() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    for number in _SIGNALS:
        signal.signal(number, wish)
    try:
        yield lambda: wished
    finally:
        restore()
