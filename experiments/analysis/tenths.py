"""Tenths of the widths, in which clients are counted where they have many different widths."""

from __future__ import annotations

import math

TENTHS = (*(f"[.{tenth}, .{tenth + 1})" for tenth in range(9)), "[.9, 1]")
"""Names of the tenths. Each has its lower end, and the last one both."""


def text_of(tenth: int) -> str:
    """Writes a tenth as tables have it, such as `0.5 to 0.6`."""
    return f"{tenth / 10:.1f} to {(tenth + 1) / 10:.1f}"


def tenth_of(width: float) -> int:
    """Returns the tenth of a width: .5 is in [.5, .6), and 1 in [.9, 1].

    Args:
      width: a fraction of the units, from 0 to 1.

    Returns:
      The tenth, from 0 to 9; the last bits of a width do not count.
    """
    return min(9, math.floor(10 * width + 1e-6))
