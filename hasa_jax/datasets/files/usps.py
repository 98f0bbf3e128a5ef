"""Digits of envelopes, in an HDF5 file."""

from __future__ import annotations

import pathlib

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

DIGITS = tuple("0123456789")
_PARTS = ("data", "target")


def usps(data_dir: pathlib.Path) -> Pool:
    """Reads USPS; needs h5py (the data extra).

    Args:
      data_dir: has `usps.h5` with `train` and `test`, each of `data` `[n, 256]` in [0, 1] and
        `target` `[n]`.

    Returns:
      Images of bytes `[n, 16, 16, 1]`.

    Raises:
      UserError: if the file is missing or damaged, or h5py is not there.
    """
    try:
        import h5py  # The extra is optional, so only its user pays for it.
    except ImportError:
        raise UserError("usps.h5 needs h5py: pip install 'hasa_jax[data]'") from None
    path, parts = file_of(data_dir, "usps.h5"), []
    for name in ("train", "test"):
        try:
            with h5py.File(path, "r") as file:
                inputs, targets = (np.asarray(file[f"{name}/{part}"]) for part in _PARTS)
                inputs = np.round(255 * inputs.reshape(-1, 16, 16, 1)).astype(np.uint8)
        except (OSError, KeyError, TypeError, ValueError, RuntimeError) as error:
            raise UserError(f"{path} is damaged ({error}): get it again") from None
        check(path, inputs, targets, len(DIGITS))
        parts.append((inputs, targets, name == "test"))
    return pooled(parts, DIGITS)
