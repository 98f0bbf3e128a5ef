"""Names of what a tracker shows: of its runs, and of the numbers of an evaluation."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from hasa_jax.simulation.writers import ARM

_NAMES = {
    "updates": "updates/arrived",
    "updates_asked": "updates/asked",
    "severed": "budget/severed",
    "programs": "seconds/programs",
}
"""Columns whose group does not follow from their name."""

_DIGITS = 3
"""Of seeds and folds in names, so that they sort as numbers do."""


def run_name(record: Mapping[str, Any]) -> str:
    """Names the run that a record is of.

    Args:
      record: with some or all columns of `writers.ARM`.

    Returns:
      Such as `hasa uniform prefix coverage seed 003 fold 001`; `run` for a record without them.
    """
    parts = [str(record[name]) for name in ARM if name in record and name not in ("seed", "fold")]
    if "seed" in record:
        parts.append(f"seed {record['seed']:0{_DIGITS}}")
    if record.get("fold"):
        parts.append(f"fold {record['fold']:0{_DIGITS}}")
    return " ".join(parts) or "run"


def numbers_of(record: Mapping[str, Any]) -> dict[str, float]:
    """Returns the numbers of a record of `summary` or `timings`, by names that sort in groups.

    Args:
      record: the record.

    Returns:
      Such as `{"accuracy/mean": .1, "budget/width": .5, "seconds/train": 2.0}`; what is not defined
      (NaN) is left out.
    """
    own = {name: value for name, value in record.items() if name not in (*ARM, "round")}
    found = {_name(column): float(value) for column, value in own.items()}
    return {name: value for name, value in found.items() if not math.isnan(value)}


def _name(column: str) -> str:
    """Returns the name of a column: its group, a slash, and the rest."""
    if column in _NAMES:
        return _NAMES[column]
    for group in ("accuracy", "seconds"):
        if column.endswith(f"_{group}"):
            return f"{group}/{column.removesuffix(f'_{group}')}"
    for group in ("budget", "bytes"):
        if column.startswith(f"{group}_"):
            return f"{group}/{column.removeprefix(f'{group}_')}"
    return f"other/{column}"
