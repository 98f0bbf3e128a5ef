"""Digits on 8 x 8 grids, in the text files of UCI."""

from __future__ import annotations

import pathlib
import warnings

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.files.archive import DAMAGE
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

DIGITS = tuple("0123456789")
_PARTS = (("tra", False), ("hol", False), ("tes", True))
_LARGEST = 16


def optdigits(data_dir: pathlib.Path) -> Pool:
    """Reads the optical recognition of handwritten digits data set.

    Args:
      data_dir: has `optdigits.tra`, `.hol` (training) and `.tes` (testing): 64 counts from 0 to 16
        and the digit in each line; the first line may be a comment.

    Returns:
      Images of bytes `[n, 8, 8, 1]`.

    Raises:
      UserError: if a file is missing or damaged.
    """
    parts = []
    for end, is_test in _PARTS:
        path = file_of(data_dir, f"optdigits.{end}")
        rows = _rows(path)
        if rows.shape[1] != 65 or rows.min() < 0 or rows[:, :64].max() > _LARGEST:
            raise UserError(
                f"{path} does not have 64 counts from 0 to 16 and a digit in each line: get "
                "it again"
            )
        inputs = np.round(rows[:, :64] * (255 / _LARGEST)).astype(np.uint8)
        check(path, inputs, rows[:, 64], len(DIGITS))
        parts.append((inputs.reshape(-1, 8, 8, 1), rows[:, 64], is_test))
    return pooled(parts, DIGITS)


def _rows(path: pathlib.Path) -> np.ndarray:
    """Reads lines of whole numbers; a comment, which has no commas, may be before them."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        # Anywhere else, or with commas, it would be a damaged line that must not go unnoticed.
        if lines and lines[0].startswith("#") and "," not in lines[0]:
            lines = lines[1:]
        # Of no lines at all, or of fractions, loadtxt warns.
        with warnings.catch_warnings(action="error"):
            return np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2, comments=None)
    except DAMAGE as error:
        raise UserError(f"{path} is damaged ({error}): get it again") from None
