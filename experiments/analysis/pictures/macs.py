"""Accuracy over MACs: what arms reach at equal compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.analysis.pictures import progress
from experiments.analysis.results import Record, Results


def make(groups: Sequence[Results]) -> Any:
    """Draws mean, worst and tail test accuracy over the MACs of training.

    After `t` rounds that is `t` times the achieved share of the supernet's MACs, so its unit is a
    round in which all clients train the supernet.

    Args:
      groups: results; each is a row of panels.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if the records have no MACs.
    """
    label = "MACs (rounds of the supernet)"
    lacking = "summary.csv has no column budget_macs"
    return progress.draw(groups, progress.Spent(label, _spent, lacking))


def _spent(record: Record) -> float:
    """Returns the MACs so far, in rounds of the supernet."""
    return int(record["round"]) * float(record.get("budget_macs") or "nan")
