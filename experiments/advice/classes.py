"""What each class of devices gets, where the file of clients has a column `class`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from experiments.advice.costing import SizeCosts
from experiments.advice.fleet import CLASS, Fleet
from experiments.advice.options import Caps, Option, held, seconds_of
from experiments.analysis.table import Cell, Table
from experiments.rooms import number_text

_MOST = 12
"""Classes that the terminal shows."""


class DeviceClass(NamedTuple):
    """The devices of one class.

    Attributes:
      name: of the class; empty for clients without one.
      clients: all of them.
      unable: those whose device holds no subnet.
      cap: the mean of what the others hold; NaN if there are none.
      member: which of the clients that are able are of the class `[n]`, bool.
    """

    name: str
    clients: int
    unable: int
    cap: float
    member: np.ndarray


def classes_of(fleet: Fleet, caps: Caps) -> tuple[DeviceClass, ...]:
    """Returns the classes in the order of the file; none if it has no such column.

    Args:
      fleet: all clients.
      caps: what their devices hold.
    """
    of_client = np.array([cell.strip() for cell in fleet.others.get(CLASS, ())])
    found = []
    for name in dict.fromkeys(of_client.tolist()):
        own = of_client == name
        cap = _mean(caps.widths[own & caps.able])
        unable = int((own & ~caps.able).sum())
        found.append(DeviceClass(name, int(own.sum()), unable, cap, own[caps.able]))
    return tuple(found)


def classes_table(
    options: Sequence[Option],
    budget: float,
    classes: Sequence[DeviceClass],
    width: np.ndarray,
    unit: str,
) -> Table | None:
    """Makes the table of clients and mean widths by class, at one budget.

    Args:
      options: what can be had at it.
      budget: the budget.
      classes: from `classes_of`.
      width: of sizes 0..H.
      unit: of the budget.

    Returns:
      The table, with the first classes of the file if there are many; None without classes.
    """
    if not classes:
        return None
    lines = []
    for own in classes[:_MOST]:
        cells = [Cell(own.name or "-"), *(Cell(str(n), n) for n in (own.clients, own.unable))]
        means = [own.cap, *(_mean(width[option.sizes[own.member]]) for option in options)]
        lines.append((*cells, *map(_cell, means)))
    headers = ("class", "clients", "infeasible", "cap", *(option.policy for option in options))
    notes = [
        "Means over the clients of the class whose device holds a subnet. In a workdir, "
        "advise_classes.csv has what a device of each class pays, at every budget."
    ]
    if len(classes) > _MOST:
        notes.append(f"The other {len(classes) - _MOST} classes are not shown.")
    title = f"Mean width of each class at budget {number_text(budget)} ({unit})"
    return Table("classes", title, headers, tuple(lines), tuple(notes))


CLASS_COLUMNS = (
    *("class", "clients", "infeasible", "cap", "policy", "budget", "feasible", "clients_training"),
    *("width", "params", "macs", "bytes_down", "bytes_up", "memory_bytes", "round_seconds"),
)
"""Of `class_lines`."""


def class_lines(
    options: Sequence[Option],
    fleet: Fleet,
    caps: Caps,
    table: SizeCosts,
    epochs: int,
    rate: float,
) -> Iterator[tuple[Any, ...]]:
    """Yields what a device of each class pays in each option, by `CLASS_COLUMNS`.

    Numbers are means over the clients of the class that train, but memory and seconds, which are
    those of the client that needs most.

    Args:
      options: all of them.
      fleet: all clients.
      caps: what their devices hold.
      table: what sizes cost.
      epochs: passes over a client's examples in a round.
      rate: MACs that a device computes in a second; 0 if unknown.

    Yields:
      A line for each class in each option that has sizes; None for what is not known.
    """
    able, classes = fleet.subset(caps.able), classes_of(fleet, caps)
    for option in (option for option in options if len(option.sizes)):
        seconds = seconds_of(option, able, table, epochs, rate)
        fits = held(option, fleet, caps, table.width)
        for own in classes:
            training = own.member & (option.sizes > 0)
            sizes = option.sizes[training]
            columns = (table.width, table.params, table.macs, table.bytes_down, table.bytes_up)
            most = (table.memory[sizes], seconds[training])
            yield (
                *(own.name, own.clients, own.unable, _known(own.cap), option.policy, option.budget),
                *(int(own.member.any() and fits[own.member].all()), len(sizes)),
                *(_known(_mean(column[sizes])) for column in columns),
                *(_known(float(values.max()) if len(values) else np.nan) for values in most),
            )


def _mean(values: np.ndarray) -> float:
    """Returns a mean; NaN of nothing."""
    return float(values.mean()) if len(values) else np.nan


def _known(value: float) -> float | None:
    """Returns a number; None for NaN."""
    return None if np.isnan(value) else value


def _cell(value: float) -> Cell:
    """Returns the cell of a mean width; `-` of no client."""
    return Cell("-") if np.isnan(value) else Cell(f"{value:.3f}", value)
