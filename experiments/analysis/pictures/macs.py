"""Accuracy over MACs: what arms reach at equal compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from experiments.analysis.matched import MEASURES
from experiments.analysis.pictures import progress
from experiments.analysis.pictures.picture import Lacking
from experiments.analysis.results import Arm, Record, Results, Source
from experiments.study.manifest import read_manifest

_OF_COSTS = ("local_epochs", "clients_per_round", "supernet_width")
"""Settings that decide what a round costs in which the supernet is trained."""


def make(groups: Sequence[Results]) -> Any:
    """Draws mean, worst and tail test accuracy over the MACs of training.

    After `t` rounds that is `t` times the achieved share of the supernet's MACs, so its unit is a
    round in which every client that trains has the supernet. The measurements of policy `need` are
    left out.

    Args:
      groups: results; each is a row of panels. In one row all rounds cost the same.

    Returns:
      The figure of matplotlib.

    Raises:
      Lacking: if the records have no MACs, or if workdirs of a row differ in local epochs, in the
        clients of a round or in the width of the supernet.
    """
    label = "MACs (rounds of the supernet)"
    lacking = "summary.csv has no column budget_macs"
    if unlike := sorted({name for own in groups for name in _unlike(own)}):
        raise Lacking(f"workdirs differ in {', '.join(unlike)}, so their rounds cost other MACs")
    spent = progress.Spent(label, "MACs", _spent, lacking)
    return progress.draw(groups, spent, measuring_note([arm for own in groups for arm in own.arms]))


def measuring_note(arms: Sequence[Arm]) -> str:
    """Says that MACs leave out what a policy measures.

    Args:
      arms: that are drawn.

    Returns:
      Words for the legend; empty if no policy measures.
    """
    measures = any(arm.policy.partition("@")[0] == MEASURES for arm in arms)
    return f"MACs of {MEASURES} are without its measurements" if measures else ""


def _unlike(found: Results) -> list[str]:
    """Returns the settings in which rounds of some workdirs cost other MACs."""
    sources = [Source(folder, read_manifest(folder), (), (), ()) for folder in found.folders]
    known = [source.settings("") for source in sources]
    return [name for name in _OF_COSTS if len({own.get(name) for own in known} - {None}) > 1]


def _spent(record: Record) -> float:
    """Returns the MACs so far, in rounds of the supernet."""
    return int(record["round"]) * float(record.get("budget_macs") or "nan")
