"""The table of what arms cost: shares of the supernet, and bytes."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from experiments.analysis.compared import NAMES, Comparison, has
from experiments.analysis.matched import MATCHED_WITHIN, at_round
from experiments.analysis.results import UNITS, Record
from experiments.analysis.table import Cell, Table

_MEGABYTE = 1e6
_ONCE = "bytes_once"


def cost(compared: Comparison, round: int) -> Table:
    """Makes the table of budgets and bytes, which shows in which units arms match.

    Args:
      compared: the arms.
      round: the round.

    Returns:
      A row for each arm: the requested budget, the achieved ones as shares of the supernet, and
      megabytes that a client receives and sends in a round. `≠` marks what differs from the
      reference by more than `MATCHED_WITHIN`. There are only columns that the results have:
      `uncut` if some parameters are cut by no size and `params` does not count them, `bytes
      once` if clients send bytes once for a score, `updates` if some did not arrive, `policy` if
      arms that are called by their methods differ in it.
    """
    by_arm = at_round(compared.found, round)
    records = [record for own in by_arm.values() for record in own.values()]
    units = [unit for unit in UNITS if all(has(r, f"budget_{unit}") for r in records)]
    base = by_arm[compared.reference]
    uncut = any(has(r, "budget_uncut") and float(r["budget_uncut"]) for r in records)
    policies = compared.header == "method" and len({arm.policy for arm in by_arm}) > 1
    exchanged = _exchanged(records)
    rows = []
    for arm, own in by_arm.items():
        requested = float(next(iter(own.values()))["budget_requested"])
        cells = [Cell(compared.labels[arm]), *[Cell(arm.policy)] * policies]
        unknown = math.isnan(requested)
        cells.append(Cell("none") if unknown else Cell(f"{requested:g}", requested))
        for unit in units:
            # Without a common seed it is not known whether budgets match.
            common = bool(set(own) & set(base))
            apart = " ≠" * (common and not compared.match(arm, by_arm, unit))
            share = _mean(own, f"budget_{unit}")
            cells.append(Cell(f"{share:.3f}{apart}", share))
        if uncut:
            share = _mean(own, "budget_uncut")
            cells.append(Cell(f"{share:.3f}", share))
        rows.append((*cells, *(_of_exchange(own, name) for name in exchanged.values())))
    headers = [
        *(compared.header, *["policy"] * policies, "budget"),
        *(NAMES.get(unit, unit) for unit in units),
        *(*["uncut"] * uncut, *exchanged),
    ]
    budget = NAMES.get(compared.found.budget_unit, compared.found.budget_unit)
    title = f"Cost: requested budget in {budget}, achieved budgets as shares of the supernet"
    if "MB down" in exchanged:
        title += "; MB that a client receives and sends in a round"
    notes = []
    if compared.several:
        label = compared.labels[compared.reference]
        notes = [f"Where there is no ≠, budgets match {label} within {MATCHED_WITHIN:g}."]
        if apart := [compared.labels[a] for a, own in by_arm.items() if not set(own) & set(base)]:
            notes.append(f"Not compared, as no seed is common: {', '.join(apart)}.")
    return Table("cost", title, tuple(headers), tuple(rows), tuple(notes))


def _exchanged(records: list[Record]) -> dict[str, str]:
    """Returns the columns of summary.csv on bytes and updates that are shown, by header."""
    found = {
        header: name
        for header, name in {"MB down": "bytes_down", "MB up": "bytes_up"}.items()
        if any(has(record, name) for record in records)
    }
    if any(bool(r.get(_ONCE)) and float(r[_ONCE]) != 0 for r in records):
        found["bytes once"] = _ONCE  # What is not known, NaN, counts.
    asked = [r for r in records if has(r, "updates") and has(r, "updates_asked")]
    if any(float(r["updates"]) != float(r["updates_asked"]) for r in asked):
        found["updates"] = "updates"
    return found


def _of_exchange(own: Mapping[int, Record], name: str) -> Cell:
    """Makes a cell of bytes or counts, means over seeds."""
    if name == _ONCE and any(r.get(name) and not has(r, name) for r in own.values()):
        return Cell("unknown")
    if not all(has(record, name) for record in own.values()):
        return Cell("unknown")
    mean = _mean(own, name)
    if name in ("bytes_down", "bytes_up"):
        return Cell(f"{mean / _MEGABYTE:.3g}", mean / _MEGABYTE)
    if name == "updates" and all(has(record, "updates_asked") for record in own.values()):
        return Cell(f"{mean:.6g} of {_mean(own, 'updates_asked'):.6g}", mean)
    return Cell(f"{mean:.6g}", mean)


def _mean(own: Mapping[int, Record], name: str) -> float:
    """Returns the mean of a column over seeds."""
    return float(np.mean([float(record[name]) for record in own.values()]))
