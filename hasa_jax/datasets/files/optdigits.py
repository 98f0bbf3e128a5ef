"""Digits on 8 x 8 grids, in the text files of UCI."""

from __future__ import annotations

import pathlib

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

DIGITS = tuple("0123456789")
_PARTS = (("tra", False), ("hol", False), ("tes", True))
_LARGEST = 16


def optdigits(data_dir: pathlib.Path) -> Pool:
    """Reads the optical recognition of handwritten digits data set.

    Args:
      data_dir: has `optdigits.tra`, `.hol` (training) and `.tes` (testing): 64 counts from 0 to 16
        and the digit in each line.

    Returns:
      Images of bytes `[n, 8, 8, 1]`.

    Raises:
      UserError: if a file is missing or damaged.
    """
    parts = []
    for end, is_test in _PARTS:
        path = file_of(data_dir, f"optdigits.{end}")
        try:
            rows = np.loadtxt(path, delimiter=",", dtype=np.int64, ndmin=2)
        except (ValueError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged ({error}): get it again") from None
        if rows.shape[1] != 65 or rows.min() < 0 or rows[:, :64].max() > _LARGEST:
            raise UserError(
                f"{path} does not have 64 counts from 0 to 16 and a digit in each line: get "
                "it again"
            )
        inputs = np.round(rows[:, :64] * (255 / _LARGEST)).astype(np.uint8)
        check(path, inputs, rows[:, 64], len(DIGITS))
        parts.append((inputs.reshape(-1, 8, 8, 1), rows[:, 64], is_test))
    return pooled(parts, DIGITS)
