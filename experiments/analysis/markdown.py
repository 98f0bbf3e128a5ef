"""Grids and lines of Markdown that fit a terminal."""

from __future__ import annotations

import textwrap
import unicodedata
from collections.abc import Sequence

WIDTH = 100
"""Columns of a terminal that tables and lines keep within where their texts allow it."""


def aligned(cells: Sequence[Sequence[str]], at_right: Sequence[bool]) -> str:
    """Makes a table whose columns stand below each other.

    Args:
      cells: as they are written, by line; the first line has the headers.
      at_right: whether the cells of each column stand at the right.

    Returns:
      A Markdown table.
    """
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    left = [not right for right in at_right]
    rule = "|".join(
        "-" * (width + 1) + ("-" if at_left else ":")
        for width, at_left in zip(widths, left, strict=True)
    )
    head, *body = (_line(own, widths, left) for own in cells)
    return "\n".join([head, f"|{rule}|", *body])


def paragraph(text: str) -> str:
    """Breaks a line of text so that a terminal shows it.

    Args:
      text: in one line.

    Returns:
      Lines of at most `WIDTH` letters; longer words keep their length.
    """
    return textwrap.fill(text, WIDTH, break_long_words=False, break_on_hyphens=False)


def notes(texts: Sequence[str]) -> str:
    """Makes a list of remarks.

    Args:
      texts: one line each.

    Returns:
      A Markdown list.
    """
    wrap = textwrap.TextWrapper(
        WIDTH,
        initial_indent="- ",
        subsequent_indent="  ",
        break_long_words=False,
        break_on_hyphens=False,
    )
    return "\n".join(map(wrap.fill, texts))


def _line(cells: Sequence[str], widths: Sequence[int], left: Sequence[bool]) -> str:
    """Makes a line of a table."""
    filled = []
    for cell, width, at_left in zip(cells, widths, left, strict=True):
        space = " " * (width - _width(cell))
        filled.append(f" {cell}{space} " if at_left else f" {space}{cell} ")
    return f"|{'|'.join(filled)}|"


def _width(text: str) -> int:
    """Returns the columns that a text takes in a terminal."""
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))
