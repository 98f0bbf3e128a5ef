"""Wall seconds of a block of code, compilation apart."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Iterable, Iterator

import jax
import jax.monitoring


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Measures wall seconds, and how many of them went into making programs.

    Making a program is tracing, lowering, and compiling it or fetching it from the persistent
    compilation cache. Programs that other threads make meanwhile do not count.

    Yields:
      A dict whose entries `wall` and `compile` are set when the block ends.
    """
    seconds = {"wall": 0.0, "compile": 0.0}
    spans: list[tuple[float, float]] = []
    own = threading.get_ident()

    def listen(event: str, start_time: float, end_time: float, **kwargs: str | int) -> None:
        del kwargs
        # The backend's span includes what the cache takes to read or write.
        if event.startswith("/jax/core/compile/") and threading.get_ident() == own:
            spans.append((start_time, end_time))

    jax.monitoring.register_event_time_span_listener(listen)
    start = time.perf_counter()
    try:
        yield seconds
    finally:
        seconds["wall"] = time.perf_counter() - start
        jax.monitoring.unregister_event_time_span_listener(listen)
        seconds["compile"] = min(_covered(spans), seconds["wall"])


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Returns how long at least one span lasts; a program may be made while another is traced."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total
