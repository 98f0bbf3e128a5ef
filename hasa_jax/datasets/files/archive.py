"""Arrays of an npz file that somebody else wrote."""

from __future__ import annotations

import pathlib
import zipfile
import zlib

import numpy as np

from hasa_jax.base import UserError


def arrays_of(path: pathlib.Path, names: tuple[str, ...]) -> dict[str, np.ndarray]:
    """Reads arrays; objects are refused, for they could run code.

    Args:
      path: an npz file.
      names: the arrays that it must have.

    Returns:
      The arrays by name.

    Raises:
      UserError: if the file is damaged or lacks one.
    """
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            return {name: file[name] for name in names}
    except (
        zipfile.BadZipFile,
        zlib.error,
        ValueError,
        EOFError,
        KeyError,
        IndexError,
        NotImplementedError,
    ) as error:
        raise UserError(
            f"{path} is no npz file with {', '.join(names)} ({error}): it is damaged or another "
            "file, get it again"
        ) from None
