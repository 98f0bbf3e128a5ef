"""Arrays of an npz file that may be damaged or hostile."""

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
from hasa_jax.datasets.messages import one_line

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
"""Exceptions that decoders raise for damaged files."""

_LARGEST_RATIO = 1100
"""Unpacked bytes per packed byte; Deflate, the usual method, has at most 1,032."""

_FITS = {"bytes": ("u1",), "texts": ("U",), "integers": ("i", "u")}


@dataclasses.dataclass(frozen=True)
class Kind:
    """The values and the shape that an array must have.

    Attributes:
      values: `bytes`, `texts` or `integers`.
      shape: length of each axis; None for any length.
    """

    values: str
    shape: tuple[int | None, ...] = (None,)

    def fits(self, array: np.ndarray) -> bool:
        """Returns whether an array has these values and this shape."""
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


LABELS = Kind("integers")
NAMES = Kind("texts")


def arrays_of(path: pathlib.Path, kinds: Mapping[str, Kind]) -> dict[str, np.ndarray]:
    """Reads arrays; objects are refused because they could run code.

    Args:
      path: an npz file.
      kinds: kind of each array that the file must have, by name.

    Returns:
      The arrays by name; they are read-only.

    Raises:
      UserError: if the file is damaged, or if an array is missing or of another kind.
    """
    try:
        with warnings.catch_warnings(action="error"), zipfile.ZipFile(path) as archive:
            found = {name: _array(path, archive, f"{name}.npy") for name in kinds}
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"{path} is not an npz file with {', '.join(kinds)} ({one_line(error)}): it is "
            "damaged or another file, get it again"
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
    """Refuses a file whose header names more bytes than can be packed into the file.

    This check comes before memory is allocated.

    Args:
      path: the file.
      size: bytes that the header names.

    Raises:
      UserError: if `size` is too large.
    """
    if size > _LARGEST_RATIO * path.stat().st_size:
        raise UserError(
            f"the header of {path} names {size} bytes, more than fit into it: it is damaged, get "
            "it again"
        )


def _array(path: pathlib.Path, archive: zipfile.ZipFile, entry: str) -> np.ndarray:
    """Reads an entry up to its end, where zipfile compares its checksum, as an array."""
    info = archive.getinfo(entry)
    check_size(path, info.file_size)
    # Reading allocates as much memory as the entry names.
    if info.compress_size > path.stat().st_size:
        raise ValueError(f"{entry} is larger than the file")
    content = archive.read(info)
    stream = io.BytesIO(content)
    version = np.lib.format.read_magic(stream)
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    shape, by_columns, dtype = readers[version](stream)
    if dtype.hasobject:
        raise ValueError(f"{entry} has objects")
    values = np.frombuffer(content, dtype, offset=stream.tell())
    return values.reshape(shape, order="F" if by_columns else "C")
