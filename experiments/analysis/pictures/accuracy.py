"""Accuracy over rounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.analysis.pictures import progress
from experiments.analysis.results import Record, Results


def make(groups: Sequence[Results]) -> Any:
    """Draws mean, worst and tail test accuracy over rounds.

    Args:
      groups: results; each is a row of panels.

    Returns:
      The figure of matplotlib.
    """
    spent = progress.Spent("round", "rounds", _rounds, "there are no records", integer=True)
    return progress.draw(groups, spent)


def _rounds(record: Record) -> float:
    """Returns the rounds that are done."""
    return float(record["round"])
