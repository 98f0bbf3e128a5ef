"""Parts of messages of one line: other packages' errors, and lists of names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

_MAX_LENGTH = 400
_MOST_NAMES, _MOST_LETTERS = 10, 40


def one_line(message: object) -> str:
    """Returns a message on one line of bounded length.

    Args:
      message: an exception or a text.

    Returns:
      Its text, with single spaces; the type of an exception without a text.
    """
    line = " ".join(str(message).split()) or type(message).__name__
    return line if len(line) <= _MAX_LENGTH else f"{line[:_MAX_LENGTH]} ..."


def first_of(names: Iterable[object]) -> str:
    """Lists names from data, such as columns, classes or clients.

    Args:
      names: any number of them.

    Returns:
      The first ten, cut to 40 letters each, quoted and in brackets, and how many more there are;
      `none` if there are none.
    """
    every: Sequence[str] = list(map(str, names))
    shown = [name[:_MOST_LETTERS] for name in every[:_MOST_NAMES]]
    more = f" and {len(every) - _MOST_NAMES} more" if len(every) > _MOST_NAMES else ""
    return f"{shown}{more}" if every else "none"
