"""Tables in Markdown."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.analysis import markdown
from experiments.analysis.table import Cell, Table
from hasa_jax.simulation import escapes


def grid(table: Table) -> str:
    """Writes a table without its title and notes.

    Args:
      table: the table.

    Returns:
      Lines with columns that stand below each other.
    """
    lines = [[cell_text(cell) for cell in row] for row in table.rows]
    return markdown.aligned([list(map(escapes.markdown, table.headers)), *lines], table.at_right)


def render(table: Table) -> str:
    """Writes a table.

    Args:
      table: the table.

    Returns:
      The title, the table and its notes.
    """
    parts = [markdown.paragraph(f"{escapes.markdown(table.title)}:"), grid(table)]
    if table.notes:
        parts.append(markdown.notes(list(map(escapes.markdown, table.notes))))
    return "\n\n".join(parts)


def document(tables: Sequence[Table]) -> str:
    """Writes several tables, one below the other.

    Args:
      tables: the tables.

    Returns:
      The content of a file.
    """
    return "\n\n".join(map(render, tables)) + "\n"


def cell_text(cell: Cell) -> str:
    """Writes a cell."""
    text = escapes.markdown(cell.text)
    return f"**{text}**" if cell.bold and text else text
