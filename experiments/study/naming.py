"""Errors of the library name its arguments; some of them are fields of another name here."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping

from hasa_jax.base import UserError

OF_EXTRACTIONS = {"levels": "dropout_levels", "widths": "exit_widths"}
"""Fields of the arguments of extractions; policies have arguments of the same names."""


@contextlib.contextmanager
def fields_named(fields: Mapping[str, str]) -> Iterator[None]:
    """Makes errors name fields of the configuration.

    Args:
      fields: by the name of the argument that an error has in backticks.

    Yields:
      Nothing, while errors are changed.

    Raises:
      UserError: with the names of the fields.
    """
    try:
        yield
    except UserError as error:
        names = "|".join(map(re.escape, fields))
        message = re.sub(rf"`({names})\b", lambda m: f"`{fields[m[1]]}", str(error))
        raise UserError(message) from None
