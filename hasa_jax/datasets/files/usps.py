"""USPS: handwritten digits from envelopes in an HDF5 file."""

from __future__ import annotations

import pathlib
from typing import Any

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.files.archive import DAMAGE, check_size
from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

DIGITS = tuple("0123456789")
_PARTS = ("data", "target")
_SIDE = 16


def usps(data_dir: pathlib.Path) -> Pool:
    """Reads USPS (Hull, 1994); needs h5py (the data extra).

    Args:
      data_dir: folder of `usps.h5` with the groups `train` and `test`, each of pixels `data`
        `[n, 256]` in [0, 1] and labels `target` `[n]`.

    Returns:
      Images of bytes `[n, 16, 16, 1]`.

    Raises:
      UserError: if the file is missing or damaged, or if h5py is not installed.
    """
    try:
        import h5py  # The package is optional, so it is imported only here.
    except ImportError:
        raise UserError("usps.h5 needs h5py: pip install 'hasa_jax[data]'") from None
    path, parts = file_of(data_dir, "usps.h5"), []
    for name in ("train", "test"):
        try:
            with h5py.File(path, "r") as file:
                data, labels = (file[f"{name}/{part}"] for part in _PARTS)
                _check_arrays(path, data, labels)
                inputs, targets = np.asarray(data), np.asarray(labels)
        except UserError:
            raise
        except DAMAGE as error:
            raise UserError(f"{path} is damaged ({one_line(error)}): get it again") from None
        # In this form, the condition also refuses NaN.
        if not ((inputs >= 0) & (inputs <= 1)).all():
            raise UserError(f"{path} has pixels outside 0 to 1: it is damaged, get it again")
        check(path, inputs, targets, len(DIGITS))
        inputs = np.round(255 * inputs.reshape(-1, _SIDE, _SIDE, 1)).astype(np.uint8)
        parts.append((inputs, targets, name == "test"))
    return pooled(parts, DIGITS)


def _check_arrays(path: pathlib.Path, data: Any, labels: Any) -> None:
    """Refuses groups, other shapes and types, and data in other files, before they are read."""
    if not all(hasattr(each, "is_virtual") for each in (data, labels)):
        raise UserError(f"{path} has something else in place of pixels or labels: get it again")
    right = (
        data.shape == (len(data), _SIDE * _SIDE)
        and data.dtype.kind == "f"
        and labels.shape == (len(labels),)
        and labels.dtype.kind in "iu"
    )
    if not right:
        raise UserError(
            f"{path} has {data.shape} pixels of {data.dtype} and {labels.shape} labels of "
            f"{labels.dtype}, not n x {_SIDE * _SIDE} fractions and n integers: get it again"
        )
    if any(each.external or each.is_virtual for each in (data, labels)):
        raise UserError(f"{path} refers to other files, which are not read: get it again")
    check_size(path, data.nbytes + labels.nbytes)
