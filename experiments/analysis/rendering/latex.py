r"""Tables in LaTeX, for a document with `\usepackage{booktabs}`."""

from __future__ import annotations

import dataclasses
import re
import unicodedata
from collections.abc import Sequence

from experiments.analysis.table import Cell, Table
from hasa_jax.simulation.escapes import one_line

_SIGNS = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "%": r"\%",
    "_": r"\_",
    "&": r"\&",
    "#": r"\#",
    "$": r"\$",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "|": r"$|$",
    '"': r"\textquotedbl{}",
    "[": "{[}",
    "]": "{]}",
    "±": r"$\pm$",
    "Δ": r"$\Delta$",
    "≠": r"$\neq$",
    "→": r"$\rightarrow$",
    "≤": r"$\leq$",
    "≥": r"$\geq$",
    "\u00d7": r"$\times$",
    "\u2212": r"$-$",
    "…": r"\ldots{}",
    "\u2019": "'",
    "\u2013": "--",
}
"""Characters that LaTeX would obey, or does not know as text."""

_UNKNOWN = "\u0126\u0127\u0138\u013f\u0140\u0149\u0166\u0167\u017f"
"""Letters below U+0180 that pdflatex stops at."""

MOST_ROWS = 45
"""Rows that have room on a page; a longer table is several."""

_SIGN = re.compile(r"(?<!\w)-(?=\d)")
"""The sign of a number."""


def escape(text: str) -> str:
    """Writes a text so that LaTeX shows it and obeys nothing in it.

    Args:
      text: any text.

    Returns:
      The text in one line. The sign of a number is that of mathematics. Letters with accents are
      written with them where the usual fonts have them; another character is its code, `U+6771`.
    """
    line = _SIGN.sub("\u2212", one_line(" ".join(text.split())))
    return "".join(map(_letter, line))


def render(table: Table) -> str:
    r"""Writes a table.

    Args:
      table: the table.

    Returns:
      A `table` environment with rules of `booktabs`, the title as its caption, the label
      `tab:<name>`, and the notes below. Of more than `MOST_ROWS` rows there is one environment for
      each part of them, with its number in the caption; the first has the label, the last the
      notes.
    """
    starts = range(0, max(1, len(table.rows)), MOST_ROWS)
    parts = []
    for number, start in enumerate(starts, 1):
        part = f", part {number} of {len(starts)}" * (len(starts) > 1)
        own = dataclasses.replace(
            table,
            title=f"{table.title}{part}",
            rows=table.rows[start : start + MOST_ROWS],
            notes=table.notes if number == len(starts) else (),
        )
        parts.append(_part(own, table.at_right, labelled=number == 1))
    return "\n\n".join(parts)


def _part(table: Table, at_right: Sequence[bool], *, labelled: bool) -> str:
    """Writes a table that has room on a page."""
    columns = "".join("r" if right else "l" for right in at_right)
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape(table.title)}.}}",
        *[rf"\label{{tab:{table.name}}}"] * labelled,
        r"\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _line([escape(header) for header in table.headers]),
        r"\midrule",
        *(_line(list(map(_cell, row))) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.notes:
        lines.append(rf"\par\smallskip {' '.join(map(escape, table.notes))}")
    return "\n".join([*lines, r"\end{table}"])


def document(tables: Sequence[Table]) -> str:
    r"""Writes several tables, for `\input`.

    Args:
      tables: the tables.

    Returns:
      The content of a file.
    """
    needs = r"% Needs \usepackage[T1]{fontenc} and \usepackage{booktabs}."
    return "\n\n".join([needs, *map(render, tables)]) + "\n"


def _line(cells: Sequence[str]) -> str:
    """Writes the cells of a row."""
    return " & ".join(cells) + r" \\"


def _cell(cell: Cell) -> str:
    """Writes a cell."""
    text = escape(cell.text)
    return rf"\textbf{{{text}}}" if cell.bold else text


def _letter(character: str) -> str:
    """Writes a character."""
    if character in _SIGNS or character.isascii():
        return _SIGNS.get(character, character)
    # pdflatex knows the letters of western Europe; at others it stops.
    known = unicodedata.category(character) in ("Ll", "Lu") and ord(character) < 0x180
    known = known and character not in _UNKNOWN
    return character if known else rf"\texttt{{U+{ord(character):04X}}}"
