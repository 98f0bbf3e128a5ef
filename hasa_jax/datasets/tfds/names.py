"""Names of TensorFlow Datasets, and short messages from its errors."""

from __future__ import annotations

import re

from hasa_jax.base import UserError
from hasa_jax.datasets.messages import one_line

PREFIX = "tfds:"
_NAME = re.compile(r"[a-z][a-z0-9_]*(/\w[\w.+-]*)?(:\d+\.\d+\.\d+)?", re.ASCII)
_ADDRESS = re.compile(r" ?<[^<>]* at 0x[0-9a-f]+>")


def check_name(name: str) -> None:
    """Refuses an invalid name, before it becomes part of a path.

    Args:
      name: such as `mnist`, `emnist/letters` or `mnist:3.0.1`.

    Raises:
      UserError: if it is not such a name.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{PREFIX}{name} is no name of TensorFlow Datasets: write {PREFIX}NAME, "
            f"{PREFIX}NAME/CONFIG or {PREFIX}NAME:VERSION, such as {PREFIX}mnist"
        )


def short_message(error: BaseException) -> str:
    """Returns the message of an error, on one line of bounded length.

    Args:
      error: any exception.

    Returns:
      Its message, or its type if it has no message.
    """
    # Messages of TFDS start with the call that failed.
    text = _ADDRESS.sub("", str(error).rpartition('}": ')[2])
    return one_line(text.strip() or type(error).__name__)
