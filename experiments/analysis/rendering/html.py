"""Tables in HTML."""

from __future__ import annotations

import html
from collections.abc import Sequence

from experiments.analysis.table import Cell, Table
from hasa_jax.simulation.escapes import one_line

_STYLE = """\
body { font-family: system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; display: block; margin-top: 2rem; overflow-x: auto; }
caption { font-weight: bold; padding-bottom: .5rem; text-align: left; }
th, td { padding: .2rem .7rem; text-align: left; white-space: nowrap; }
thead th { border-bottom: 1px solid; border-top: 2px solid; }
tbody tr:last-child > * { border-bottom: 2px solid; }
tbody th { font-weight: normal; }
.number { font-variant-numeric: tabular-nums; text-align: right; }
.notes { color: #444; font-size: .9rem; }"""


def escape(text: str) -> str:
    """Writes a text so that HTML shows it and obeys nothing in it.

    Args:
      text: any text.

    Returns:
      The text in one line.
    """
    return html.escape(one_line(" ".join(text.split())))


def render(table: Table) -> str:
    """Writes a table.

    Args:
      table: the table.

    Returns:
      An element `table` whose cells have the attribute `data-value` where they are about a number,
      and a list of its notes.
    """
    kinds = [' class="number"' if at_right else "" for at_right in table.at_right]
    lines = [f'<table id="{escape(table.name)}">', f"<caption>{escape(table.title)}</caption>"]
    heads = (
        f'<th scope="col"{kind}>{escape(header)}</th>'
        for header, kind in zip(table.headers, kinds, strict=True)
    )
    lines += ["<thead>", f"<tr>{''.join(heads)}</tr>", "</thead>", "<tbody>"]
    for first, *others in table.rows:
        cells = [f'<th scope="row"{_value(first)}>{_content(first)}</th>']
        cells += [
            f"<td{kind}{_value(cell)}>{_content(cell)}</td>"
            for cell, kind in zip(others, kinds[1:], strict=True)
        ]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    lines += ["</tbody>", "</table>"]
    if table.notes:
        notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
        lines.append(f'<ul class="notes">{notes}</ul>')
    return "\n".join(lines)


def document(tables: Sequence[Table]) -> str:
    """Writes a page of several tables.

    Args:
      tables: the tables.

    Returns:
      The content of a file, which needs no other one.
    """
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Tables</title>\n<style>\n{_STYLE}\n</style>\n</head>\n<body>"
    )
    return "\n".join([head, *map(render, tables), "</body>\n</html>\n"])


def _content(cell: Cell) -> str:
    """Writes what is in a cell."""
    text = escape(cell.text)
    return f"<strong>{text}</strong>" if cell.bold else text


def _value(cell: Cell) -> str:
    """Writes the attribute with the number of a cell, if it has one."""
    return "" if cell.value is None else f' data-value="{cell.value!r}"'
