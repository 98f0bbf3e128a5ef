"""Arrays of an npz file that may be damaged or hostile: bounded before any memory is allocated."""

from __future__ import annotations

import dataclasses
import lzma
import math
import pathlib
import struct
import tokenize
import warnings
import zipfile
import zlib
from collections.abc import Mapping
from typing import BinaryIO

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.paths import opened, shown

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

_LARGEST_RATIO = 100
"""Unpacked bytes per packed byte. Images and texts have at most 20, a bomb has 1,000."""

_SMALL = 2**26
"""Bytes that may have any ratio, such as sorted labels."""

_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
"""What is before each entry of an archive; at its end, the lengths of a name and of more fields."""

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

    def fits(self, array: Member) -> bool:
        """Returns whether an array has these values and this shape."""
        name = f"{array.dtype.kind}{array.dtype.itemsize}"
        lengths = zip(array.shape, self.shape, strict=False)
        return (
            name.startswith(_FITS[self.values])
            and len(array.shape) == len(self.shape)
            and all(wanted in (None, length) for length, wanted in lengths)
        )

    def __str__(self) -> str:
        shape = " x ".join("n" if length is None else str(length) for length in self.shape)
        return f"{shape} {self.values}"


LABELS = Kind("integers")
NAMES = Kind("texts")


@dataclasses.dataclass(frozen=True)
class Member:
    """An array in an npz file, of which only the header was read.

    Attributes:
      info: its entry in the archive.
      shape: length of each axis.
      by_columns: whether the first axis varies fastest.
      dtype: of its numbers or texts; never objects.
      start: bytes before the values.
    """

    info: zipfile.ZipInfo
    shape: tuple[int, ...]
    by_columns: bool
    dtype: np.dtype
    start: int


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
        with (
            warnings.catch_warnings(action="error"),
            opened(path, "an npz file") as stream,
            zipfile.ZipFile(stream) as archive,
        ):
            members = {name: member_of(archive, stream, name) for name in kinds}
            _check_kinds(path, members, kinds)
            check_size(path, sum(member.info.file_size for member in members.values()))
            return {name: values_of(archive, member) for name, member in members.items()}
    except UserError:
        raise
    except DAMAGE as error:
        raise UserError(
            f"{shown(path)} is not an npz file with {', '.join(kinds)} ({one_line(error)}): it is "
            "damaged or another file, get it again"
        ) from None


def _check_kinds(
    path: pathlib.Path, members: Mapping[str, Member], kinds: Mapping[str, Kind]
) -> None:
    """Refuses arrays of other values or shapes, before they are read."""
    for name, kind in kinds.items():
        if not kind.fits(members[name]):
            shape = " x ".join(map(str, members[name].shape)) or "one"
            raise UserError(
                f"array {name} of {shown(path)} is {shape} {members[name].dtype}, not {kind}: the "
                "file is damaged or another one, get it again"
            )


def is_bomb(packed: int, unpacked: int) -> bool:
    """Returns whether data unpack to far more than usual.

    Args:
      packed: bytes in the file.
      unpacked: bytes in memory, from a header.

    Returns:
      Whether they must be refused, before memory is allocated.
    """
    return unpacked > max(_SMALL, _LARGEST_RATIO * packed)


def check_size(path: pathlib.Path, size: int) -> None:
    """Refuses a file whose header names far more bytes than the file has, or than memory has.

    This check comes before memory is allocated.

    Args:
      path: the file.
      size: bytes that the header names.

    Raises:
      UserError: if `size` is too large.
    """
    if is_bomb(path.stat().st_size, size):
        raise UserError(
            f"the header of {shown(path)} names {size} bytes, more than fit into it: it is "
            "damaged, get it again"
        )
    check_memory(size, shown(path))


def member_of(archive: zipfile.ZipFile, stream: BinaryIO, name: str) -> Member:
    """Reads the header of an array.

    Args:
      archive: an open npz file.
      stream: the same file.
      name: name of the array.

    Returns:
      The array without its values.

    Raises:
      Exception: one of `DAMAGE` if there is no such array, if its header does not match its size,
        or if it has objects.
    """
    info = archive.getinfo(f"{name}.npy")
    size = stream.seek(0, 2)
    # Reading allocates as much memory as the entry names.
    if info.compress_size > size:
        raise ValueError(f"{name} is larger than the file")
    readers = {
        (1, 0): np.lib.format.read_array_header_1_0,
        (2, 0): np.lib.format.read_array_header_2_0,
    }
    with archive.open(info) as entry:
        version = np.lib.format.read_magic(entry)
        shape, by_columns, dtype = readers[version](entry)
        start = entry.tell()
    if dtype.hasobject:
        raise ValueError(f"{name} has objects")
    if min(shape, default=0) < 0 or start + dtype.itemsize * math.prod(shape) != info.file_size:
        raise ValueError(f"{name} does not have the values of its shape {shape}")
    return Member(info, shape, by_columns, dtype, start)


def mapped_of(path: pathlib.Path, stream: BinaryIO, member: Member) -> np.ndarray | None:
    """Maps an array of the file into memory: what is not indexed is not read.

    Args:
      path: an npz file.
      stream: the same file, open.
      member: one of its arrays.

    Returns:
      The array, read-only; None if it is compressed, in another order or empty. Its checksum is not
      compared.
    """
    info = member.info
    stored = info.compress_type == zipfile.ZIP_STORED and not info.flag_bits & 1
    if not stored or member.by_columns or not math.prod(member.shape):
        return None
    stream.seek(info.header_offset)
    header = stream.read(_LOCAL_HEADER.size)
    *_, of_name, of_extra = _LOCAL_HEADER.unpack(header)
    start = info.header_offset + len(header) + of_name + of_extra + member.start
    if start + member.dtype.itemsize * math.prod(member.shape) > stream.seek(0, 2):
        raise ValueError("the file is cut off")
    return np.memmap(path, member.dtype, "r", start, member.shape)


def values_of(archive: zipfile.ZipFile, member: Member) -> np.ndarray:
    """Reads an array up to its end, where zipfile compares its checksum.

    Args:
      archive: an open npz file.
      member: one of its arrays, whose size was checked.

    Returns:
      The array, read-only.
    """
    content = archive.read(member.info)
    count = math.prod(member.shape)
    if not count:
        return np.empty(member.shape, member.dtype)
    values = np.frombuffer(content, member.dtype, count, member.start)
    return values.reshape(member.shape, order="F" if member.by_columns else "C")
