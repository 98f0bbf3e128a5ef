"""Figures of committed files that are no results of runs, such as measurements and simulations.

JSON files have numbers by the path to them, CSV files cells by their row and column.
"""

from __future__ import annotations

import csv
import json
import pathlib
import re
from typing import Any

from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import from_csv_cell

_STEP = re.compile(r"([^.\[\]]+)|\[([^\]]*)\]")
"""A step of a path: a name, or what is in brackets."""


def number_at(file: pathlib.Path, path: str) -> float:
    """Reads a number, or the ratio of two.

    Args:
      file: a JSON file.
      path: names with dots between them, and what chooses an entry of a list in brackets: its
        position, or values that it has, as in `budgets.titles[budget=0.5].seconds`, with `&`
        between several. With ` / ` between two paths, the first number is divided by the second.

    Returns:
      The number.

    Raises:
      UserError: if there is none, or no such file.
    """
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        values = [_found(content, own.strip()) for own in path.split(" / ")]
        if len(values) > 2:
            raise ValueError(path)
        return values[0] / values[1] if len(values) > 1 else values[0]
    except (OSError, ValueError, KeyError, IndexError, TypeError, ZeroDivisionError) as error:
        raise UserError(f"{file.name} has no number at {path!r} ({error})") from None


def _found(content: Any, path: str) -> float:
    """Follows a path."""
    for name, choice in _STEP.findall(path):
        if name:
            content = content[name]
        elif "=" in choice:
            wanted = dict(part.split("=", 1) for part in choice.split("&"))
            (content,) = (
                entry
                for entry in content
                if all(str(entry.get(key)) == value for key, value in wanted.items())
            )
        else:
            content = content[int(choice)]
    return float(content)


def cell_at(file: pathlib.Path, row: str, column: str) -> str:
    """Reads a cell of a CSV file.

    Args:
      file: a CSV file with headers.
      row: the first cell of the row, or the first ones with ` / ` between them.
      column: header of the column.

    Returns:
      Its text.

    Raises:
      UserError: if there is none, or more than one, or no such file.
    """
    wanted = row.split(" / ")
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            headers, *rows = [list(map(from_csv_cell, cells)) for cells in csv.reader(lines)]
        (found,) = (cells for cells in rows if cells[: len(wanted)] == wanted)
        return found[headers.index(column)]
    except (OSError, ValueError, IndexError, csv.Error) as error:
        where = f"one row {row!r} with a column {column!r}"
        raise UserError(f"{file.name} has not {where} ({error})") from None
