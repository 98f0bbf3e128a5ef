"""Optdigits: handwritten digits of 8 x 8 pixels in the text files of UCI."""

from __future__ import annotations

import pathlib
import warnings

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.files.archive import DAMAGE
from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.pool import Pool, check, file_of, pooled

DIGITS = tuple("0123456789")
_PARTS = (("tra", False), ("hol", False), ("tes", True))
_LARGEST = 16
_COMPLETE = 3823
"""Lines of UCI's own `optdigits.tra`; other copies have the end of it in `optdigits.hol`."""


def optdigits(data_dir: pathlib.Path) -> Pool:
    """Reads the data set "Optical Recognition of Handwritten Digits" (Alpaydin and Kaynak, UCI).

    Args:
      data_dir: folder of `optdigits.tra` (training) and `optdigits.tes` (testing), with
        `optdigits.hol` (training) beside an `optdigits.tra` of fewer lines than UCI's 3,823: 64
        counts from 0 to 16 and the digit in each line. The first line may be a comment.

    Returns:
      Images of bytes `[n, 8, 8, 1]`.

    Raises:
      UserError: if a file is missing or damaged.
    """
    parts: list[tuple[np.ndarray, np.ndarray, bool]] = []
    for end, is_test in _PARTS:
        if end == "hol" and len(parts[0][1]) == _COMPLETE:
            continue  # Its digits are in the complete file.
        path = file_of(data_dir, f"optdigits.{end}")
        numbers = _numbers(path)
        if numbers.shape[1] != 65 or numbers.min() < 0 or numbers[:, :64].max() > _LARGEST:
            raise UserError(
                f"{path} does not have 64 counts from 0 to 16 and a digit in each line: get "
                "it again"
            )
        inputs, targets = numbers[:, :64], numbers[:, 64]
        inputs = np.round(inputs * (255 / _LARGEST)).astype(np.uint8)
        check(path, inputs, targets, len(DIGITS))
        parts.append((inputs.reshape(-1, 8, 8, 1), targets, is_test))
    return pooled(parts, DIGITS)


def _numbers(path: pathlib.Path) -> np.ndarray:
    """Reads the integers of each line `[n, m]`; skips a comment without commas in line 1."""
    try:
        lines = path.read_text(encoding="ascii").splitlines()
        # A comment in another line, or with commas, is a damaged line, which must be refused.
        if lines and lines[0].startswith("#") and "," not in lines[0]:
            lines = lines[1:]
        # For an empty file and for fractions, loadtxt only warns.
        with warnings.catch_warnings(action="error"):
            return np.loadtxt(lines, delimiter=",", dtype=np.int64, ndmin=2, comments=None)
    except DAMAGE as error:
        raise UserError(f"{path} is damaged ({one_line(error)}): get it again") from None
