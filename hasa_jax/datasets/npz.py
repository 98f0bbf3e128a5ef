"""A dataset from the user's own npz file."""

from __future__ import annotations

import dataclasses
import os
import pathlib
import warnings
import zipfile
from collections.abc import Mapping
from typing import BinaryIO

import jax
import numpy as np

from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets.arrays import is_integral
from hasa_jax.datasets.files.archive import (
    DAMAGE,
    Member,
    is_bomb,
    mapped_of,
    member_of,
    values_of,
)
from hasa_jax.datasets.flat import from_flat
from hasa_jax.datasets.mapped import Mapped
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.messages import first_of, one_line
from hasa_jax.datasets.names import joined_note, spellings
from hasa_jax.datasets.paths import opened, path_of, shown

_ARRAYS = ("inputs", "targets", "clients")
_NPY = b"\x93NUMPY"
_EXACT = 2**53  # Larger integers may be equal as floats.

_READ = 2**26
"""Bytes of inputs that are read into memory at once; more stay in the file, if it can be mapped."""


def npz(
    key: jax.Array, *, data_path: str | os.PathLike[str], folds: int = 0, fold: int = 0
) -> FederatedDataset:
    """Reads examples and their clients from an npz file, and splits every client.

    The file contains three arrays of one length `n`: inputs `[n, ...]`, class ids `targets` `[n]`
    or `[n, T]`, and `clients` `[n]`, a name or a number of each example's client. Inputs of bytes
    (uint8) are pixels and become `x / 255`. Nothing is unpickled. Inputs of more than 64 MiB that
    are not compressed stay in the file: each round reads, and checks, those of its clients.

    Args:
      key: root key of the run; it is not consumed.
      data_path: path of the file, as `numpy.savez` writes it.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset: inputs float32 or int32 `[D, ...]`, targets int32 `[D]` or `[D, T]`; clients are
      in the order of their names or numbers.

    Raises:
      UserError: if the file or one of its arrays is not valid, or if there are too few clients or
        examples.
    """
    path = path_of(data_path)
    arrays, inputs = _read(path)
    own, names, notes = _clients(path, arrays.pop("clients"))
    if isinstance(inputs, Mapped):
        notes += (
            f"{len(inputs)} inputs stay in the file, where rounds read and check those that they "
            "need",
        )
    elif inputs.dtype == np.uint8:
        inputs = inputs.astype(np.float32) / 255
    dataset = from_flat(names, own, inputs, arrays["targets"], key, folds, fold)
    return dataclasses.replace(dataset, notes=notes + dataset.notes)


def _clients(
    path: pathlib.Path, clients: np.ndarray
) -> tuple[np.ndarray, list[str], tuple[str, ...]]:
    """Returns the position of each example's client `[n]`, the clients' names, and notes."""
    integral = clients.dtype.kind == "f" and is_integral(clients)
    if integral and np.abs(clients).max(initial=0) < _EXACT:
        clients = clients.astype(np.int64)
    if clients.dtype.kind not in "iuUS":
        raise UserError(
            f"array clients of {path} is {clients.dtype}: give each example's client as an integer "
            "or a text"
        )
    # Neighbours are often of one client, so only the first of them is looked at.
    first = np.concatenate([[True], clients[1:] != clients[:-1]])[: len(clients)]
    raw, of_first = np.unique(clients[first], return_inverse=True)
    own = np.repeat(
        of_first.astype(np.int32), np.diff(np.append(np.flatnonzero(first), len(clients)))
    )
    if raw.dtype.kind in "iu":
        return own, list(map(str, raw.tolist())), ()
    try:
        texts = [each.decode() if isinstance(each, bytes) else str(each) for each in raw.tolist()]
    except ValueError as error:  # UnicodeDecodeError, or a code point that does not exist.
        raise UserError(f"array clients of {path} is not UTF-8 ({one_line(error)})") from None
    found = spellings(texts)
    names = list(dict.fromkeys(found.values()))
    if len(names) == len(texts):
        return own, names, joined_note(found, "clients")
    position = {name: index for index, name in enumerate(names)}
    joined = np.array([position[found[text]] for text in texts], np.intp)
    return joined[own], names, joined_note(found, "clients")


def _read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], np.ndarray | Mapped]:
    """Reads the arrays, and inputs unless they stay in the file; objects could run code."""
    with opened(path, "an npz file", fits=False) as stream:
        if stream.read(len(_NPY)) == _NPY:
            raise UserError(f"{path} has a single array: save {', '.join(_ARRAYS)} as npz")
        try:
            with warnings.catch_warnings(action="error"), zipfile.ZipFile(stream) as archive:
                found = [n.removesuffix(".npy") for n in archive.namelist() if n.endswith(".npy")]
                missing = [name for name in _ARRAYS if name not in found]
                if missing:
                    raise UserError(
                        f"{path} has no array {missing[0]!r}: it needs {', '.join(_ARRAYS)}, and "
                        f"has {first_of(found)}"
                    )
                members = {name: member_of(archive, stream, name) for name in _ARRAYS}
                inputs = _mapped(path, stream, members["inputs"])
                _check(path, members, mapped=inputs is not None)
                arrays = {n: values_of(archive, m) for n, m in members.items() if n != "inputs"}
                if inputs is None:
                    return arrays, values_of(archive, members["inputs"])
                return arrays, inputs
        except UserError:
            raise
        except DAMAGE as error:
            raise UserError(
                f"{path} is not an npz file of plain numbers and texts ({one_line(error)}): write "
                "it with numpy.savez, without objects"
            ) from None


def _mapped(path: pathlib.Path, stream: BinaryIO, inputs: Member) -> Mapped | None:
    """Returns inputs that stay in the file, if they are many and can."""
    numbers = inputs.dtype.kind in "iuf" and len(inputs.shape) > 0
    if not numbers or inputs.info.file_size <= _READ:
        return None
    source = mapped_of(path, stream, inputs)
    if source is None:
        return None
    checksum = f"{inputs.info.CRC:08x} {inputs.dtype.str} {inputs.shape}"
    kind = np.int32 if len(source) < 2**31 else np.int64
    return Mapped(source, np.arange(len(source), dtype=kind), shown(path), checksum)


def _check(path: pathlib.Path, members: Mapping[str, Member], *, mapped: bool) -> None:
    """Refuses arrays that do not match, or that are too large, from their headers."""
    lengths = {member.shape[:1] for member in members.values()}
    if len(lengths) > 1 or len(members["clients"].shape) != 1:
        shapes = ", ".join(f"{name} {member.shape}" for name, member in members.items())
        raise UserError(
            f"arrays of {path} have shapes {shapes}: inputs, targets and clients need one entry "
            "for each example"
        )
    for name, member in members.items():
        packed, size = member.info.compress_size, member.info.file_size
        if is_bomb(packed, size):
            raise UserError(
                f"array {name} of {path} has {packed} bytes that unpack to {size}: so much is not "
                "unpacked; save it with numpy.savez, not savez_compressed"
            )
    inputs = members["inputs"]
    # Pixels of bytes become numbers of four bytes; clients and splits copy them.
    wide = 4 if inputs.dtype == np.uint8 else 1
    sizes = [m.info.file_size for name, m in members.items() if name != "inputs" or not mapped]
    copies = 0 if mapped else 2 * wide * inputs.info.file_size
    check_memory(sum(sizes) + copies, shown(path))
