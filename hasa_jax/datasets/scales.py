"""Scales of pixels: bytes, numbers from 0 to 255, and fractions."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.examples import Examples


def one_scale(parts: Sequence[tuple[str, Examples]]) -> list[np.ndarray]:
    """Returns the inputs of all users, with bytes as numbers up to 255 where others are that.

    Args:
      parts: name of the user and examples.

    Returns:
      The inputs of each part. Bytes beside fractions stay bytes.

    Raises:
      UserError: if pixels of one user are numbers up to 255 and those of another one fractions.
    """
    scales = [_scale(part) for _, part in parts]
    if 255 in scales and 1 in scales:
        other, first = parts[scales.index(255)][0], parts[scales.index(1)][0]
        raise UserError(
            f"user {other!r} has pixels that are numbers up to 255, and user {first!r} has "
            "fractions up to 1: give all users one scale"
        )
    if 255 not in scales:
        return [part.inputs for _, part in parts]
    return [part.inputs.astype(np.float32) if part.raw else part.inputs for _, part in parts]


def _scale(part: Examples) -> int:
    """Returns the largest pixel, 1 or 255; 0 if it may be either, and for other numbers."""
    inputs = part.inputs
    if inputs.ndim != 4 or part.raw or not inputs.size:
        return 0
    if inputs.dtype == np.uint8:
        # Pixels that are 0 or 1 are of either scale.
        return int((inputs - np.uint8(1) < 254).any())
    if are_bytes(inputs):
        return 255
    inside = inputs.min() >= 0 and inputs.max() <= 1
    return int(inside and (inputs != np.round(inputs)).any())


def are_bytes(inputs: np.ndarray) -> bool:
    """Returns whether numbers are bytes that were not divided by 255.

    Args:
      inputs: of any shape.
    """
    if inputs.dtype == np.uint8 or not inputs.size:
        return False
    inside = inputs.min() >= 0 and 1 < inputs.max() <= 255
    return bool(inside and (inputs == np.round(inputs)).all())
