"""Arrays of an npz file that somebody else wrote."""

from __future__ import annotations

import dataclasses
import io
import lzma
import pathlib
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping

import numpy as np

from hasa_jax.base import UserError

DAMAGE = (
    ArithmeticError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,
    lzma.LZMAError,
    struct.error,
    tokenize.TokenError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What decoders of files raise when the bytes are not what they should be."""

_MOST = 1100
"""Deflate, the usual packing, makes at most 1,032 bytes of one."""

_FITS = {"bytes": ("u1",), "texts": ("U",), "whole numbers": ("i", "u")}


@dataclasses.dataclass(frozen=True)
class Kind:
    """What an array of a file has to be.

    Attributes:
      values: `bytes`, `texts` or `whole numbers`.
      shape: its lengths; None for any length.
    """

    values: str
    shape: tuple[int | None, ...] = (None,)

    def fits(self, array: np.ndarray) -> bool:
        """Tells whether an array is of this kind."""
        name = f"{array.dtype.kind}{array.dtype.itemsize}"
        lengths = zip(array.shape, self.shape, strict=False)
        return (
            name.startswith(_FITS[self.values])
            and array.ndim == len(self.shape)
            and all(wanted in (None, length) for length, wanted in lengths)
        )

    def __str__(self) -> str:
        shape = " x ".join("n" if length is None else str(length) for length in self.shape)
        return f"{shape} {self.values}"


LABELS = Kind("whole numbers")
NAMES = Kind("texts")


def arrays_of(path: pathlib.Path, kinds: Mapping[str, Kind]) -> dict[str, np.ndarray]:
    """Reads arrays; objects are refused, for they could run code.

    Args:
      path: an npz file.
      kinds: the arrays that it must have, and what they must be.

    Returns:
      The arrays by name; they cannot be written to.

    Raises:
      UserError: if the file is damaged, lacks one, or has another kind of array in its place.
    """
    try:
        with warnings.catch_warnings(action="error"), zipfile.ZipFile(path) as archive:
            found = {name: _array(path, archive, f"{name}.npy") for name in kinds}
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"{path} is no npz file with {', '.join(kinds)} ({error}): it is damaged or another "
            "file, get it again"
        ) from None
    for name, kind in kinds.items():
        if not kind.fits(found[name]):
            shape = " x ".join(map(str, found[name].shape)) or "one"
            raise UserError(
                f"array {name} of {path} is {shape} {found[name].dtype}, not {kind}: the file is "
                "damaged or another one, get it again"
            )
    return found


def check_size(path: pathlib.Path, size: int) -> None:
    """Refuses a file that says it holds more than can be packed into it.

    Nothing is set apart in memory for what is not there.

    Args:
      path: the file.
      size: bytes that it says it holds.

    Raises:
      UserError: if these are too many.
    """
    if size > _MOST * path.stat().st_size:
        raise UserError(
            f"{path} says it holds {size} bytes, more than fit into it: it is damaged, get it again"
        )


def _array(path: pathlib.Path, archive: zipfile.ZipFile, entry: str) -> np.ndarray:
    """Reads an entry to its end, where its checksum is compared, and makes an array of it."""
    info = archive.getinfo(entry)
    check_size(path, info.file_size)
    # Reading sets as much apart as an entry says it takes up.
    if info.compress_size > path.stat().st_size:
        raise ValueError(f"{entry} takes up more than the file")
    content = archive.read(info)
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, by_columns, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError(f"{entry} holds objects")
    values = np.frombuffer(content, dtype, offset=stream.tell())
    return values.reshape(shape, order="F" if by_columns else "C")
