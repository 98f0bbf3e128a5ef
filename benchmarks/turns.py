"""Timing rounds over and over, by itself or when another process asks. Imports no framework."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable


def serve(one_round: Callable[[], float]) -> None:
    """Says `ready`, then answers every line on standard input with the seconds of a round.

    Args:
      one_round: runs a round and returns its seconds.
    """
    print("ready", flush=True)
    for _ in sys.stdin:
        print(one_round(), flush=True)


def repeat(one_round: Callable[[], float], repeats: int) -> dict[str, object]:
    """Runs rounds and summarises their seconds.

    Args:
      one_round: runs a round and returns its seconds.
      repeats: how many.

    Returns:
      `{seconds, least_seconds, all_seconds}`: median, minimum, and each of them.
    """
    seconds = [one_round() for _ in range(repeats)]
    return {
        "seconds": statistics.median(seconds),
        "least_seconds": min(seconds),
        "all_seconds": seconds,
    }


def report(one_round: Callable[[], float], repeats: int, *, on_request: bool) -> None:
    """Warms up, then serves rounds, or prints their summary as one line of JSON.

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
