"""Accuracy over bytes: what arms reach with equal communication."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.analysis.pictures import progress
from experiments.analysis.results import Record, Results

_MEGABYTE = 1e6


def make(groups: Sequence[Results]) -> Any:
    """Draws mean, worst and tail test accuracy over the bytes that a client has moved.

    After `t` rounds that is `t` times what a client receives and sends in a round, the mean over
    clients, and what it sends once for its score. Of drawn clients it is for one that is drawn in
    every round.

    Args:
      groups: results; each is a row of panels.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if the records have no bytes.
    """
    label = "MB down and up of a client"
    lacking = (
        "summary.csv has no columns bytes_down and bytes_up, as runs before version 0.2, or "
        "bytes_once is not known"
    )
    return progress.draw(groups, progress.Spent(label, "bytes", _spent, lacking))


def _spent(record: Record) -> float:
    """Returns the megabytes that a client has moved so far; NaN if a part is not known."""
    down, up = (float(record.get(name) or "nan") for name in ("bytes_down", "bytes_up"))
    once = float(record.get("bytes_once") or 0)  # NaN of a score that does not say what it needs.
    return (int(record["round"]) * (down + up) + once) / _MEGABYTE
