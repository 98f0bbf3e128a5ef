"""Tables for a terminal of `WIDTH` columns."""

from __future__ import annotations

import io
from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table as Drawn
from rich.text import Text

from experiments.analysis.markdown import WIDTH, notes, paragraph
from experiments.analysis.table import Table
from hasa_jax.simulation.escapes import one_line

_NAMES = 30
"""Letters of names that stand in one line, however wide the other columns are."""

_GAP = 3
"""Letters between columns."""


def render(table: Table) -> str:
    """Draws a table.

    Args:
      table: the table.

    Returns:
      The title, the table and its notes, in lines of at most `WIDTH` letters. An asterisk follows
      what other media show in bold. Names that are too long are broken over several lines; columns
      that do not fit stand below, with the names again.
    """
    cells = [[one_line(cell.text) + " *" * cell.bold for cell in row] for row in table.rows]
    columns = [list(column) for column in zip(table.headers, *cells, strict=True)]
    widths = [max(map(cell_len, column)) for column in columns]
    parts = [paragraph(f"{one_line(table.title)}:")]
    for shown in _blocks(widths):
        own = [(columns[at], table.at_right[at], widths[at]) for at in shown]
        parts.append(_drawn(own))
    if table.notes:
        parts.append(notes([one_line(note) for note in table.notes]))
    return "\n\n".join(parts)


def document(tables: Sequence[Table]) -> str:
    """Draws several tables, one below the other.

    Args:
      tables: the tables.

    Returns:
      The text, without a line end.
    """
    return "\n\n".join(map(render, tables))


def _blocks(widths: Sequence[int]) -> list[list[int]]:
    """Shares columns out to tables that fit, each with the first column; returns their places."""
    room = WIDTH - min(widths[0], _NAMES)
    blocks: list[list[int]] = []
    left = 0
    for at, width in enumerate(widths[1:], 1):
        needs = width + _GAP
        if not blocks or needs > left:
            blocks.append([0])
            left = room
        blocks[-1].append(at)
        left -= needs
    return blocks or [[0]]


def _drawn(columns: Sequence[tuple[Sequence[str], bool, int]]) -> str:
    """Draws columns: their cells, the header first, whether they stand at the right, and widths."""
    table = Drawn(box=SIMPLE_HEAD, pad_edge=False, padding=(0, 1), show_edge=False)
    for number, ((header, *_), at_right, width) in enumerate(columns):
        table.add_column(
            Text(header),
            justify="right" if at_right else "left",
            overflow="fold",
            min_width=min(width, _NAMES if number == 0 else WIDTH - _NAMES - _GAP),
        )
    for row in zip(*(cells[1:] for cells, _, _ in columns), strict=True):
        table.add_row(*map(Text, row))
    console = Console(
        file=io.StringIO(), width=WIDTH, color_system=None, legacy_windows=False, emoji=False
    )
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())
