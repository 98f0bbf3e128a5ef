"""How a data set of TensorFlow Datasets is asked for, and how messages speak of it."""

from __future__ import annotations

import re

from hasa_jax.base import UserError

PREFIX = "tfds:"
_NAME = re.compile(r"[a-z][a-z0-9_]*(/\w[\w.+-]*)?(:\d+\.\d+\.\d+)?", re.ASCII)
_ADDRESS = re.compile(r" ?<[^<>]* at 0x[0-9a-f]+>")
_LONGEST = 400


def refuse_odd(name: str) -> None:
    """Refuses what cannot be a name, before it becomes part of a path.

    Args:
      name: such as `mnist`, `emnist/letters` or `mnist:3.0.1`.

    Raises:
      UserError: if it is none of that kind.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{PREFIX}{name} is no name of TensorFlow Datasets: write {PREFIX}NAME, "
            f"{PREFIX}NAME/CONFIG or {PREFIX}NAME:VERSION, such as {PREFIX}mnist"
        )


def told(error: BaseException) -> str:
    """Returns what an error says, on one line of bounded length.

    Args:
      error: anything that was raised.

    Returns:
      Its message, or its type if it says nothing.
    """
    # TFDS puts the call before what was wrong with it.
    text = _ADDRESS.sub("", str(error).rpartition('}": ')[2])
    line = " ".join(text.split()) or type(error).__name__
    return line if len(line) <= _LONGEST else f"{line[:_LONGEST]} ..."
