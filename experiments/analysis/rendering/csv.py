"""Tables as CSV, for other programs: numbers are written with all of their digits."""

from __future__ import annotations

import csv
import io
import math
import re

from experiments.analysis.table import Cell, Table
from hasa_jax.simulation.escapes import csv_cell

SHOWN = "(shown)"
"""What follows the header of a column that has the text of the numbers before it."""


def render(table: Table) -> str:
    """Writes a table, without its title and notes.

    Args:
      table: the table.

    Returns:
      Lines of CSV, the headers first. A column of numbers has them as they are, empty where there
      is none; where its texts say more, as in `13.91 ± 0.50`, a column of them follows. There, a
      text has no plus sign, and U+2212 for a minus sign, so that no spreadsheet takes it for a
      formula.
    """
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.headers)
    headers: list[str] = []
    lists: list[list[str]] = []
    for header, cells, numbers in zip(table.headers, columns, table.at_right, strict=True):
        if numbers:
            headers.append(header)
            lists.append([_number(cell) for cell in cells])
        if not numbers or any(_says_more(cell) for cell in cells):
            headers.append(f"{header} {SHOWN}" if numbers else header)
            lists.append([_text(cell) for cell in cells])
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(list(map(csv_cell, headers)))
    writer.writerows(zip(*lists, strict=True))
    return text.getvalue()


def _number(cell: Cell) -> str:
    """Writes the number of a cell."""
    return "" if cell.value is None or math.isnan(cell.value) else repr(cell.value)


def _text(cell: Cell) -> str:
    """Writes the text of a cell; a number of ours needs no apostrophe to be no formula."""
    if cell.value is None:
        return csv_cell(cell.text)
    return re.sub(r"^-", "\N{MINUS SIGN}", cell.text.removeprefix("+"))


def _says_more(cell: Cell) -> bool:
    """Returns whether the text of a cell is more than a number."""
    return any(letter in cell.text for letter in " ≠[") or (bool(cell.text) and cell.value is None)
