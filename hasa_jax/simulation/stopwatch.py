"""Wall seconds of a block of code, compilation apart."""

from __future__ import annotations

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterable, Iterator

import jax
import jax.monitoring

_MAKING = "/jax/core/compile/"
_MADE = "/jax/core/compile/backend_compile_duration"


@dataclasses.dataclass
class Spent:
    """What a block of code took; set when the block ends.

    Attributes:
      wall: seconds in all.
      compile: of these, seconds that went into making programs.
      programs: how many programs were compiled, or fetched from the compilation cache.
    """

    wall: float = 0.0
    compile: float = 0.0
    programs: int = 0


@contextlib.contextmanager
def stopwatch() -> Iterator[Spent]:
    """Measures wall seconds, and how many of them went into making programs.

    Making a program is tracing, lowering, and compiling it or fetching it from the persistent
    compilation cache. Programs that other threads make meanwhile do not count.

    Yields:
      What the block takes.
    """
    spent = Spent()
    spans: list[tuple[float, float]] = []
    own = threading.get_ident()

    def listen(event: str, start_time: float, end_time: float, **kwargs: str | int) -> None:
        del kwargs
        # The backend's span includes what the cache takes to read or write.
        if event.startswith(_MAKING) and threading.get_ident() == own:
            spans.append((start_time, end_time))
            spent.programs += event == _MADE

    jax.monitoring.register_event_time_span_listener(listen)
    start = time.perf_counter()
    try:
        yield spent
    finally:
        spent.wall = time.perf_counter() - start
        jax.monitoring.unregister_event_time_span_listener(listen)
        spent.compile = min(_covered(spans), spent.wall)


def _covered(spans: Iterable[tuple[float, float]]) -> float:
    """Returns how long at least one span lasts; a program may be made while another is traced."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(end - max(start, reached), 0.0)
        reached = max(reached, end)
    return total
