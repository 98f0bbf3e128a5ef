"""Numbers that the user gives to each client: capacities and widths."""

from __future__ import annotations

import math
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

from experiments.rooms import AllocationConfig, number_text
from experiments.study.scores import first_repeated, identity_of
from hasa_jax.base import UserError
from hasa_jax.datasets import csv_rows
from hasa_jax.datasets.messages import first_of
from hasa_jax.datasets.paths import path_of
from hasa_jax.simulation.escapes import from_csv_cell

_FILE = ".csv"
_WIDTH, _CAP = "width", "cap"
_COMMA = re.compile(r"(?<=^\d),(?=\d+$)")
"""A decimal comma after one digit, as in 0,5; widths have no thousands."""


def numbers_by_client(
    field: str, given: Sequence[str], clients: Sequence[str]
) -> tuple[float, ...] | None:
    """Reads a number of every client.

    Args:
      field: name of the field, for messages.
      given: a CSV file with columns `client` and `width` (of capacities, or `cap`, where an empty
        cell is 1); or `NAME:NUMBER` for every client, in
        any order; or only the numbers, in the order of the clients.
      clients: names of all clients, in their order.

    Returns:
      The numbers in the order of the clients; None if nothing is given.

    Raises:
      UserError: for a file that cannot be used, for what is no number, and for clients that are
        unknown, missing or there twice. Too few numbers in client order are refused by what
        reads them.
    """
    if not given:
        return None
    if len(given) == 1 and given[0].lower().endswith(_FILE):
        pairs = _read(field, path_of(given[0]))
    elif any(":" in entry for entry in given):
        pairs = [_pair(field, entry) for entry in given]
    else:
        return tuple(_number(field, entry) for entry in given)
    found = dict(pairs)
    if len(found) < len(pairs):
        _, name = first_repeated([name for name, _ in pairs])
        raise UserError(f"`{field}` names client {name!r} twice")
    if found.keys() != set(clients):
        known = set(clients)
        unknown = [name for name in found if name not in known]
        missing = [name for name in clients if name not in found]
        what = f"unknown: {first_of(unknown)}" if unknown else f"missing: {first_of(missing)}"
        raise UserError(
            f"`{field}` must name each client once; {what}; the clients are {first_of(clients)}"
        )
    return tuple(found[name] for name in clients)


def _read(field: str, path: pathlib.Path) -> list[tuple[str, float]]:
    """Reads the columns `client`, and `width` or `cap`, of a file.

    `cap` is what files of devices call it; an empty cap is none, width 1. `0,5` is read as 0.5.
    """
    header = csv_rows.header_of(path)
    column = _CAP if field == "capacities" and _CAP in header and _WIDTH not in header else _WIDTH
    lines, (names, cells) = csv_rows.columns_of(path, ("client", column))
    if column == _CAP:
        cells = [cell.strip() or "1" for cell in cells]
    numbers = [
        _number(field, cell, f"{path}, line {line}")
        for line, cell in zip(lines, cells, strict=True)
    ]
    return [*zip(map(from_csv_cell, names), numbers, strict=True)]


def _pair(field: str, entry: str) -> tuple[str, float]:
    """Splits `NAME:NUMBER`; a name may hold colons."""
    name, colon, number = entry.rpartition(":")
    if not colon:
        raise UserError(f"`{field}` mixes numbers with NAME:NUMBER: give each client one of a kind")
    return name.strip(), _number(field, number)


def _number(field: str, text: str, where: str = "") -> float:
    """Reads a finite number."""
    try:
        value = float(_COMMA.sub(".", text) if where else text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise UserError(f"{where or f'`{field}`'} has {text!r}: it must be a finite number")
    return value


def named_numbers(chosen: AllocationConfig, clients: Sequence[str]) -> dict[str, dict[str, float]]:
    """Returns what the user gave to each client, by field and name, for run.json."""
    given = {"capacities": chosen.capacities, "widths": chosen.widths}
    read = {field: numbers_by_client(field, own, clients) for field, own in given.items()}
    found = {field: numbers for field, numbers in read.items() if numbers}
    return {field: dict(zip(clients, own, strict=False)) for field, own in found.items()}


def echo(field: str, numbers: Mapping[str, float]) -> str:
    """Returns a line that says which client has which number.

    Args:
      field: name of the field.
      numbers: by the client's name.

    Returns:
      The first ten, and how many more there are.
    """
    return f"{field}: {first_of([f'{name}: {number_text(v)}' for name, v in numbers.items()])}"


def cut_line(caps: Iterable[float], w_max: float) -> str:
    """Says how many devices hold more than budgeted policies give; nothing if there are none.

    Args:
      caps: the widest subnet that each device holds.
      w_max: the widest one that these policies give.
    """
    above = [cap > w_max for cap in caps]
    if not any(above):
        return ""
    return (
        f"`w_max` {w_max:g} cuts what policies that follow a budget give: {sum(above)} of "
        f"{len(above)} devices hold more. Set `w_max` to 1 to use all that devices hold"
    )


def recorded_numbers(given: Sequence[str]) -> tuple[str, ...]:
    """Returns what run.json holds of the numbers: a file by its SHA-256, the rest as it is."""
    if len(given) == 1 and given[0].lower().endswith(_FILE):
        return (identity_of(path_of(given[0])),)
    return tuple(given)
