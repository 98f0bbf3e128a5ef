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
    """Counts rounds, and measures those of programs that are compiled already.

    The first rounds of a run are left out of the measurement, because its program is compiled in
    them. So are rounds that a checkpoint has, whose records come at once, and those that follow
    them, for which the program is compiled again.

    Attributes:
      rounds: rounds that are done.
      restored: whether the latest record came from a checkpoint.
    """

    def __init__(self, now: float) -> None:
        """Starts.

        Args:
          now: a reading in seconds of a clock that never goes back.
        """
        self.rounds = 0
        self._since = now
        self._latest: dict[tuple[Any, ...], tuple[int, float, bool]] = {}
        self._batch: tuple[Any, ...] = ()
        self._measured = False
        self.restored = False
        self._steady_rounds = 0
        self._steady_seconds = 0.0

    def add(self, record: Mapping[str, Any], now: float) -> None:
        """Counts the rounds of one record.

        Args:
          record: of table `timings`; records of seeds that share a program follow each other.
          now: when it came.
        """
        run = tuple(value for name, value in record.items() if name not in _NUMBERS)
        batch = (
            *(v for n, v in record.items() if n not in (*_NUMBERS, "seed", "fold")),
            record["round"],
        )
        before, trained, compiled = self._latest.get(run, (0, 0.0, False))
        if batch != self._batch:
            took = now - self._since
            self.restored = took < record["train_seconds"] - trained
            self._measured = compiled and not self.restored
            self._steady_seconds += took * self._measured
            self._batch = batch
        # What trackers take for the other seeds of a program belongs to no round.
        self._since = now
        new = record["round"] - before
        self.rounds += new
        self._steady_rounds += new * self._measured
        self._latest[run] = (record["round"], record["train_seconds"], not self.restored)

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
