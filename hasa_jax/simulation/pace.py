"""How many rounds of a study are done, and how long the others take."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_NUMBERS = (
    "round",
    "train_seconds",
    "compile_seconds",
    "evaluation_compile_seconds",
    "programs",
)
"""Columns of timings that name no run."""


class Pace:
    """Counts rounds, and measures those that are steady: computed by programs that are there.

    Attributes:
      rounds: rounds that are done.
    """

    def __init__(self, now: float) -> None:
        """Starts.

        Args:
          now: a reading in seconds of a clock that never goes back.
        """
        self.rounds = 0
        self._since = now
        self._latest: dict[tuple[Any, ...], int] = {}
        self._batch: tuple[Any, ...] = ()
        self._steady_rounds = 0
        self._steady_seconds = 0.0

    def add(self, record: Mapping[str, Any], now: float, *, steady: bool) -> None:
        """Counts the rounds of one record.

        Args:
          record: of table `timings`; records of seeds that share a program follow each other.
          now: when it came.
          steady: whether its rounds were computed since the record before, without a compilation.
        """
        run = tuple(value for name, value in record.items() if name not in _NUMBERS)
        batch = (
            *(v for n, v in record.items() if n not in (*_NUMBERS, "seed", "fold")),
            record["round"],
        )
        if batch != self._batch:
            self._steady_seconds += (now - self._since) * steady
            self._batch = batch
        # What trackers take for the other seeds of a program belongs to no round.
        self._since = now
        new = record["round"] - self._latest.get(run, 0)
        self.rounds += new
        self._steady_rounds += new * steady
        self._latest[run] = record["round"]

    @property
    def rate(self) -> float | None:
        """Rounds a second; None before anything is measured."""
        return self._steady_rounds / self._steady_seconds if self._steady_seconds else None

    def seconds_of(self, rounds: int) -> float | None:
        """Returns how long some rounds take at the pace so far.

        Args:
          rounds: their number.

        Returns:
          Seconds; None before anything is measured.
        """
        if not self._steady_rounds:
            return None
        return rounds * self._steady_seconds / self._steady_rounds
