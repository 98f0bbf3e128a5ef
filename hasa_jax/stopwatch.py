"""Wall seconds of a block of code, compilation apart."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator

import jax
import jax.monitoring


@contextlib.contextmanager
def stopwatch() -> Iterator[dict[str, float]]:
    """Measures wall seconds, and how many of them went into tracing and compiling.

    Yields:
      A dict whose entries `wall` and `compile` are set when the block ends.
    """
    seconds = {"wall": 0.0, "compile": 0.0}

    def listen(event: str, duration_secs: float, **kwargs: str | int) -> None:
        del kwargs
        if event.startswith("/jax/core/compile/"):
            seconds["compile"] += duration_secs

    jax.monitoring.register_event_duration_secs_listener(listen)
    start = time.perf_counter()
    try:
        yield seconds
    finally:
        seconds["wall"] = time.perf_counter() - start
        jax.monitoring.unregister_event_duration_listener(listen)
