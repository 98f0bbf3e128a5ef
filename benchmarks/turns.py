"""Timing rounds over and over, by itself or when another process asks. Imports no framework."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Sequence
from typing import Any

READY = "ready"
"""The line that says that a first round is done."""

SECONDS = "seconds "
"""What a line with the seconds of a round begins with; frameworks print lines of their own."""


def serve(one_round: Callable[[], float]) -> None:
    """Says that it is ready, then answers every line on standard input.

    A line holds how often to repeat a round; the answer is `SECONDS` and their mean.

    Args:
      one_round: runs a round and returns its seconds.
    """
    print(READY, flush=True)
    for line in sys.stdin:
        repeats = int(line)
        print(f"{SECONDS}{sum(one_round() for _ in range(repeats)) / repeats}", flush=True)


def repeat(one_round: Callable[[], float], repeats: int) -> dict[str, Any]:
    """Runs rounds and summarises their seconds.

    Args:
      one_round: runs a round and returns its seconds.
      repeats: how many.

    Returns:
      `{seconds, least_seconds, all_seconds}`: median, minimum, and each of them.
    """
    return summary([one_round() for _ in range(repeats)])


def summary(seconds: Sequence[float]) -> dict[str, Any]:
    """Returns `{seconds, least_seconds, all_seconds}`: median, minimum, and each of them."""
    return {
        "seconds": statistics.median(seconds),
        "least_seconds": min(seconds),
        "all_seconds": list(seconds),
    }


def report(one_round: Callable[[], float], repeats: int, *, on_request: bool) -> None:
    """Runs a first round, then serves rounds, or prints their summary as one line of JSON.

    Args:
      one_round: runs a round and returns its seconds.
      repeats: rounds to summarise.
      on_request: whether to serve.
    """
    one_round()
    if on_request:
        serve(one_round)
    else:
        print(json.dumps(repeat(one_round, repeats)))
