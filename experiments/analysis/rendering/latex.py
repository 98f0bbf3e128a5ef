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
"""Lines that have room on a page; a table with more is several."""

_ROOM = 76
"""Letters that have room in a line of an article."""

_COLUMN = 54
"""Letters that have room in a line of one of two columns."""

_GAP = 1.5
"""Letters that the space between columns takes."""

_LEAST = 12
"""Letters that a cell keeps in a line, where cells are broken."""

_EM = 0.5
"""The width of a letter, in em."""

_PUNCTUATION = frozenset("_-/.:@+=,")
"""What a long word may be broken after."""

_PIECE = 10
"""Letters without punctuation that a long word may be broken after."""

_SIGN = re.compile(r"(?<!\w)-(?=\d)")
"""The sign of a number."""


def escape(text: str, longest: int = 30) -> str:
    """Writes a text so that LaTeX shows it and obeys nothing in it.

    Args:
      text: any text.
      longest: letters of a word that cannot be broken.

    Returns:
      The text in one line. The sign of a number is that of mathematics. Letters with accents are
      written with them where the usual fonts have them; another character is its code, `U+6771`.
      LaTeX may break longer words after punctuation, and after some letters without it.
    """
    line = _SIGN.sub("\u2212", one_line(" ".join(text.split())))
    return " ".join(_word(word, longest) for word in line.split(" "))


def _word(word: str, longest: int) -> str:
    """Writes a word, with places to break it if it is long."""
    if _span(word) <= longest:
        return "".join(map(_letter, word))
    parts, since = [], 0
    for place, letter in enumerate(word, 1):
        parts.append(_letter(letter))
        since += _span(letter)
        if place < len(word) and (letter in _PUNCTUATION or since >= _PIECE):
            parts.append(r"\allowbreak{}")
            since = 0
    return "".join(parts)


def render(table: Table) -> str:
    r"""Writes a table.

    Args:
      table: the table.

    Returns:
      A `table` environment with rules of `booktabs`, the title as its caption, the label
      `tab:<name>`, and the notes below. What is wider than one of two columns is a `table*`, which
      spans both; in a document of one column the two are the same. Texts and headers are broken
      into several lines where the table is too wide otherwise. Of more than `MOST_ROWS` lines there
      is one environment for each part of them, with its number in the caption; the first has the
      label, the last the notes.
    """
    limits = _limits(table)
    pages = _pages(table, limits)
    parts = []
    for number, rows in enumerate(pages, 1):
        part = f", part {number} of {len(pages)}" * (len(pages) > 1)
        own = dataclasses.replace(
            table,
            title=f"{table.title}{part}",
            rows=tuple(rows),
            notes=table.notes if number == len(pages) else (),
        )
        parts.append(_part(own, table.at_right, limits, labelled=number == 1))
    return "\n\n".join(parts)


def _limits(table: Table) -> list[int]:
    """Returns the letters that a line of each column has room for.

    All of a column, if the table fits. If not, the widest of what may be broken is made narrower,
    until it fits or nothing more may be broken. Headers may be, and cells that are no numbers.
    """
    columns = list(zip(*table.rows, strict=True)) or [()] * len(table.headers)
    widths, least = [], []
    for header, cells, at_right in zip(table.headers, columns, table.at_right, strict=True):
        longest = max((_span(cell.text) for cell in cells), default=0)
        widths.append(max(longest, _span(header)))
        least.append(max(longest if at_right else 0, min(widths[-1], _LEAST)))
    room = int(_ROOM - _GAP * len(widths))
    while sum(widths) > room and widths != least:
        at = max(range(len(widths)), key=lambda i: (widths[i] - least[i] > 0, widths[i]))
        widths[at] -= 1
    return widths


def _pages(table: Table, limits: Sequence[int]) -> list[list[tuple[Cell, ...]]]:
    """Shares rows out to pages by the lines that they take."""
    pages: list[list[tuple[Cell, ...]]] = [[]]
    taken = 0
    for row in table.rows:
        lines = max(
            max(1, -(-_span(cell.text) // max(1, most)))
            for cell, most in zip(row, limits, strict=True)
        )
        if pages[-1] and taken + lines > MOST_ROWS:
            pages.append([])
            taken = 0
        pages[-1].append(row)
        taken += lines
    return pages


def _part(table: Table, at_right: Sequence[bool], limits: Sequence[int], *, labelled: bool) -> str:
    """Writes a table that has room on a page."""
    columns = "".join("r" if right else "l" for right in at_right)
    wide = sum(limits) + _GAP * len(limits) > _COLUMN
    environment = "table*" if wide else "table"
    heads = map(Cell, table.headers)
    lines = [
        rf"\begin{{{environment}}}",
        r"\centering",
        rf"\caption{{{escape(table.title)}.}}",
        *[rf"\label{{tab:{table.name}}}"] * labelled,
        r"\footnotesize\setlength{\tabcolsep}{3pt}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        _line(list(map(_cell, heads, at_right, limits))),
        r"\midrule",
        *(_line(list(map(_cell, row, at_right, limits))) for row in table.rows),
        r"\bottomrule",
        r"\end{tabular}",
    ]
    if table.notes:
        lines.append(rf"\par\smallskip {' '.join(map(escape, table.notes))}")
    return "\n".join([*lines, rf"\end{{{environment}}}"])


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


def _cell(cell: Cell, at_right: bool, most: int) -> str:
    """Writes a cell, in lines of at most so many letters."""
    broken = _span(cell.text) > most
    text = escape(cell.text, _LEAST if broken else _span(cell.text))
    text = rf"\textbf{{{text}}}" if cell.bold else text
    if not broken:
        return text
    ragged = r"\raggedleft" if at_right else r"\raggedright"
    return rf"\parbox[t]{{{_EM * most:.1f}em}}{{{ragged} {text}\strut}}"


def _letter(character: str) -> str:
    """Writes a character."""
    if _known(character):
        return _SIGNS.get(character, character)
    return rf"\texttt{{U+{ord(character):04X}}}"


def _known(character: str) -> bool:
    """Returns whether pdflatex has a character: ASCII, signs, and letters of western Europe."""
    if character in _SIGNS or character.isascii():
        return True
    letter = unicodedata.category(character) in ("Ll", "Lu") and ord(character) < 0x180
    return letter and character not in _UNKNOWN


def _span(text: str) -> int:
    """Returns the letters that a text takes in a line, those of codes included."""
    return sum(1 if _known(letter) else len(f"U+{ord(letter):04X}") for letter in text)
