"""A dataset from the user's own npz file."""

from __future__ import annotations

import lzma
import os
import pathlib
import zipfile
import zlib

import jax
import numpy as np

from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets.arrays import from_arrays
from hasa_jax.datasets.messages import one_line

_ARRAYS = ("inputs", "targets", "clients")
_DAMAGE = (
    EOFError,
    KeyError,
    NotImplementedError,
    OSError,
    RuntimeError,
    ValueError,
    lzma.LZMAError,
    zipfile.BadZipFile,
    zlib.error,
)


def npz(key: jax.Array, *, data_path: str | os.PathLike[str]) -> FederatedDataset:
    """Reads examples and their clients from an npz file, and splits every client 80/10/10.

    The file contains three arrays of one length `n`: inputs `[n, ...]`, class ids `targets` `[n]`
    or `[n, T]`, and `clients` `[n]`, a name or a number of each example's client. Inputs of bytes
    (uint8) are pixels and become `x / 255`. Nothing is unpickled.

    Args:
      key: root key of the run; it is not consumed.
      data_path: path of the file, as `numpy.savez` writes it.

    Returns:
      The dataset: inputs float32 or int32 `[D, ...]`, targets int32 `[D]` or `[D, T]`; clients are
      in the order of their names or numbers.

    Raises:
      UserError: if the file or one of its arrays is not valid, or if there are too few clients or
        examples.
    """
    path = pathlib.Path(data_path)
    arrays = _read(path)
    inputs, targets, clients = (arrays[name] for name in _ARRAYS)
    lengths = {name: array.shape[:1] for name, array in arrays.items()}
    if len(set(lengths.values())) > 1 or clients.ndim != 1:
        shapes = ", ".join(f"{name} {array.shape}" for name, array in arrays.items())
        raise UserError(
            f"arrays of {path} have shapes {shapes}: inputs, targets and clients need one entry "
            "for each example"
        )
    if clients.dtype.kind not in "iuUS":
        raise UserError(
            f"array clients of {path} is {clients.dtype}: give each example's client as an integer "
            "or a text"
        )
    if inputs.dtype == np.uint8:
        inputs = inputs.astype(np.float32) / 255
    names, own = np.unique(clients, return_inverse=True)
    if clients.dtype.kind == "S":
        try:
            names = np.char.decode(names, "utf-8")
        except UnicodeDecodeError as error:
            raise UserError(f"array clients of {path} is not UTF-8 ({error.reason})") from None
    pairs = {str(name): (inputs[own == i], targets[own == i]) for i, name in enumerate(names)}
    return from_arrays(pairs, key)


def _read(path: pathlib.Path) -> dict[str, np.ndarray]:
    """Reads the three arrays; objects are refused because they could run code."""
    try:
        with path.open("rb") as stream:
            file = np.load(stream, allow_pickle=False)
            if not isinstance(file, np.lib.npyio.NpzFile):
                raise UserError(f"{path} has a single array: save {', '.join(_ARRAYS)} as npz")
            missing = [name for name in _ARRAYS if name not in file.files]
            if missing:
                raise UserError(
                    f"{path} has no array {missing[0]!r}: it needs {', '.join(_ARRAYS)}, and has "
                    f"{', '.join(file.files) or 'none'}"
                )
            return {name: file[name] for name in _ARRAYS}
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: give the path of an npz file") from None
    except IsADirectoryError:
        raise UserError(f"{path} is a directory: give the path of an npz file") from None
    except _DAMAGE as error:
        raise UserError(
            f"{path} is not an npz file of plain numbers and texts ({one_line(error)}): write it "
            "with numpy.savez, without objects"
        ) from None
