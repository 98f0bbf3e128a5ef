"""The files of advice: CSV of all options, and of all clients in each of them."""

from __future__ import annotations

import csv
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from experiments.advice.classes import CLASS_COLUMNS, class_lines, classes_of
from experiments.advice.costing import SizeCosts
from experiments.advice.fleet import Fleet
from experiments.advice.options import Caps, Option, held, seconds_of
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.escapes import csv_cell

OPTIONS, CLIENTS, CLASSES = "advise.csv", "advise_clients.csv", "advise_classes.csv"


def write_options(
    folder: pathlib.Path, options: Sequence[Option], left_out: Mapping[str, str]
) -> None:
    """Writes a line for each option, also for those that cannot be had.

    Args:
      folder: the workdir.
      options: all of them.
      left_out: policies that cannot be computed, and why.
    """
    units = ("width", "params", "macs", "executed")
    header = ["policy", "budget", "feasible", "reason", "clients", *units]
    header += ["bytes_down", "bytes_up", "memory_bytes", "round_seconds"]
    lines: list[list[Any]] = []
    for option in options:
        numbers = [option.achieved.get(unit, "") for unit in units]
        numbers += [option.bytes_down, option.bytes_up, option.memory, _known(option.seconds)]
        lines.append(
            [
                *(option.policy, "" if option.budget is None else option.budget),
                *(int(option.feasible), csv_cell(option.reason), int((option.sizes > 0).sum())),
                *(numbers if len(option.sizes) else [""] * len(numbers)),
            ]
        )
    empty = [""] * (len(header) - 4)
    lines += [[name, "", 0, csv_cell(why), *empty] for name, why in left_out.items()]
    _write(folder, OPTIONS, header, lines)


def write_clients(
    folder: pathlib.Path,
    options: Sequence[Option],
    fleet: Fleet,
    caps: Caps,
    table: SizeCosts,
    epochs: int,
    rate: float,
) -> None:
    """Writes a line for each client in each option; for one that is infeasible, one in all.

    A client is feasible in an option if its device holds what it gets there.

    Args:
      folder: the workdir.
      options: all of them.
      fleet: all clients.
      caps: what their devices hold.
      table: what sizes cost.
      epochs: passes over a client's examples in a round.
      rate: MACs that a device computes in a second; 0 if unknown.
    """
    header = ["client", "examples", "cap", "policy", "budget", "feasible", "size", "width"]
    header += ["params", "macs", "bytes_down", "bytes_up", "memory_bytes", "round_seconds"]
    columns = [list(map(csv_cell, own)) for own in fleet.others.values()]
    copied = list(zip(*columns, strict=True)) or [()] * len(fleet.names)
    names = [csv_cell(name) for name in fleet.names]
    front = list(zip(names, *map(_texts, (fleet.examples, caps.widths)), strict=True))
    able = fleet.subset(caps.able)
    own = [(front[at], copied[at]) for at in np.flatnonzero(caps.able)]
    lines: list[Sequence[Any]] = [
        [*front[at], "", "", 0, 0, *[""] * 7, *copied[at]] for at in np.flatnonzero(~caps.able)
    ]
    costs = (table.width, table.params, table.macs, table.bytes_down, table.bytes_up, table.memory)
    # Numbers become texts once for each size, not for each client in each option.
    of_size = list(zip(_texts(np.arange(len(table.width))), *map(_texts, costs), strict=True))
    for option in (option for option in options if len(option.sizes)):
        seconds = seconds_of(option, able, table, epochs, rate)
        budget = "" if option.budget is None else option.budget
        fits = held(option, fleet, caps, table.width)
        of_client = zip(own, option.sizes, fits.tolist(), seconds.tolist(), strict=True)
        lines += [
            (*one, option.policy, budget, int(fit), *of_size[size], _known(taken), *more)
            for (one, more), size, fit, taken in of_client
        ]
    _write(folder, CLIENTS, header + _copied_names(fleet.others, header), lines)


def write_classes(
    folder: pathlib.Path,
    options: Sequence[Option],
    fleet: Fleet,
    caps: Caps,
    table: SizeCosts,
    epochs: int,
    rate: float,
) -> None:
    """Writes a line for each class of devices in each option, if the clients have classes.

    Args:
      folder: the workdir.
      options: all of them.
      fleet: all clients.
      caps: what their devices hold.
      table: what sizes cost.
      epochs: passes over a client's examples in a round.
      rate: MACs that a device computes in a second; 0 if unknown.
    """
    if not classes_of(fleet, caps):
        return
    lines = class_lines(options, fleet, caps, table, epochs, rate)
    _write(folder, CLASSES, CLASS_COLUMNS, ((csv_cell(name), *more) for name, *more in lines))


def _copied_names(others: Iterable[str], header: Sequence[str]) -> list[str]:
    """Returns what columns of the user are called: `own_width`, say, where `width` is there."""
    found: list[str] = []
    for name in others:
        while name in header or name in found:
            name = f"own_{name}"
        found.append(name)
    return [csv_cell(name) for name in found]


def _texts(numbers: np.ndarray) -> list[str]:
    """Writes numbers as `csv` does."""
    return list(map(str, numbers.tolist()))


def _known(number: float) -> Any:
    """Returns a number for a cell; nothing for NaN."""
    return "" if np.isnan(number) else number


def _write(
    folder: pathlib.Path, name: str, header: Sequence[str], lines: Iterable[Sequence[Any]]
) -> None:
    """Writes a file, which replaces an earlier one."""
    check_files(folder, (name,), "workdir")
    with (folder / name).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(header)
        writer.writerows(lines)
