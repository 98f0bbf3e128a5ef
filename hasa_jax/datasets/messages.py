"""Messages of other packages' errors, for messages of one line."""

from __future__ import annotations

_MAX_LENGTH = 400


def one_line(message: object) -> str:
    """Returns a message on one line of bounded length.

    Args:
      message: an exception or a text.

    Returns:
      Its text, with single spaces; the type of an exception without a text.
    """
    line = " ".join(str(message).split()) or type(message).__name__
    return line if len(line) <= _MAX_LENGTH else f"{line[:_MAX_LENGTH]} ..."
