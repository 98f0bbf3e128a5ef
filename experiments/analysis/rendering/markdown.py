"""Tables in Markdown."""

from __future__ import annotations

import re
from collections.abc import Sequence

from experiments.analysis import markdown
from experiments.analysis.table import Cell, Table
from hasa_jax.simulation import escapes

_LESS = re.compile(r"&lt;(?=[\d ])")
"""What begins no element of HTML."""

_NUMBERS = re.compile(r"\\\[([-+\d., ]+|\d+ of \d+|low, high)\\\](?![(\[:]|\\\[)")
"""An interval, or a count, which begins no link."""

_STAR = re.compile(r"(?<= )\\\*(?= |$)")
"""A star between spaces, which begins nothing within a cell."""


def grid(table: Table, *, at_left: bool = False) -> str:
    """Writes a table without its title and notes.

    Args:
      table: the table.
      at_left: whether numbers stand at the left, as texts do.

    Returns:
      Lines with columns that stand below each other.
    """
    lines = [[cell_text(cell) for cell in row] for row in table.rows]
    at_right = [own and not at_left for own in table.at_right]
    return markdown.aligned([list(map(escape, table.headers)), *lines], at_right)


def render(table: Table, *, at_left: bool = False) -> str:
    """Writes a table.

    Args:
      table: the table.
      at_left: as for `grid`.

    Returns:
      The title, the table and its notes.
    """
    parts = [markdown.paragraph(f"{escape(table.title)}:"), grid(table, at_left=at_left)]
    if table.notes:
        parts.append(markdown.notes(list(map(escape, table.notes))))
    return "\n\n".join(parts)


def document(tables: Sequence[Table]) -> str:
    """Writes several tables, one below the other.

    Args:
      tables: the tables.

    Returns:
      The content of a file.
    """
    return "\n\n".join(map(render, tables)) + "\n"


def escape(text: str) -> str:
    """Writes a text so that Markdown shows it and obeys nothing in it.

    Args:
      text: any text.

    Returns:
      The text as `escapes.markdown` has it, but for intervals and `<` before a digit, which no
      renderer obeys.
    """
    return _NUMBERS.sub(r"[\1]", _LESS.sub("<", escapes.markdown(text)))


def cell_text(cell: Cell) -> str:
    """Writes a cell."""
    text = _STAR.sub("*", escape(cell.text))
    return f"**{text}**" if cell.bold and text else text
