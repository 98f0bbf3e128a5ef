"""What each class of devices gets, where the file of clients has a column `class`."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.advice.fleet import Fleet
from experiments.advice.options import Caps, Option
from experiments.analysis.table import Cell, Table

CLASS = "class"
"""Column of the class of a device, such as low, mid or high."""

_MOST = 12
"""Classes that the terminal shows."""


def classes_table(
    options: Sequence[Option], fleet: Fleet, caps: Caps, width: np.ndarray
) -> Table | None:
    """Makes the table of clients and mean widths by class, at one budget.

    Args:
      options: what can be had at it.
      fleet: all clients.
      caps: what their devices hold.
      width: of sizes 0..H.

    Returns:
      The table, with the first classes of the file if there are many; None without classes.
    """
    of_client = np.array(fleet.others.get(CLASS, ()))
    classes = dict.fromkeys(of_client.tolist())
    if not classes:
        return None
    lines = []
    for name in list(classes)[:_MOST]:
        own = of_client == name
        unable = int((own & ~caps.able).sum())
        cells = [Cell(name or "-"), Cell(str(own.sum()), int(own.sum())), Cell(str(unable), unable)]
        cells.append(_mean(caps.widths[own & caps.able]))
        cells += [_mean(width[option.sizes[own[caps.able]]]) for option in options]
        lines.append(tuple(cells))
    headers = ("class", "clients", "infeasible", "cap", *(option.policy for option in options))
    notes = ["Means over the clients of the class whose device holds a subnet."]
    if len(classes) > _MOST:
        notes.append(f"The other {len(classes) - _MOST} classes are not shown.")
    return Table("classes", "Mean width of each class", headers, tuple(lines), tuple(notes))


def _mean(widths: np.ndarray) -> Cell:
    """Returns the cell of a mean width; `-` of no client."""
    if not len(widths):
        return Cell("-")
    return Cell(f"{widths.mean():.3f}", float(widths.mean()))
