"""Depth and width: smaller subnets have fewer exits as well as fewer units."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from fractions import Fraction

from hasa_jax.base import UserError
from hasa_jax.extraction.prefix import by_position
from hasa_jax.supernet.types import Extraction, Model, Shape

# By number of exits; those of 4 exits are the published widths of ResNet110.
_NARROWEST = 1e-3
_WIDTHS = {3: (0.7, 0.75, 1.0), 4: (0.7, 0.7, 0.75, 1.0)}


def depth_width(widths: Sequence[float] | None = None) -> Extraction:
    """Keeps a prefix of the units and of the exits; a client trains all its exits.

    Level l of E has l exits and the width `r_l`. Of the H sizes, size k with
    `(l - 1) / E < k / H <= l / E` has l exits and the width
    `r_{l-1} + (r_l - r_{l-1}) (E k / H - (l - 1))`, where `r_0` is 0. Size `k = l H / E` is
    therefore exactly level l. A group of U units keeps `floor(r U)` of them, one at least. The
    authors' `int(r U)` is of binary fractions, and loses a unit of some integer products: 62 of 90
    units at .7, where this keeps 63. It never does so for their 16, 32 and 64 channels.

    Args:
      widths: `r_1, ..., r_E`, never falling, the last one 1. By default .7, .7, .75, 1 for four
        exits, .7, .75, 1 for three, and evenly spread from .7 to 1 for other numbers.

    Returns:
      An `Extraction`. Its `shape` raises a `UserError` for a model without early exits, or with
      another number of exits than widths.

    Raises:
      UserError: if the widths fall, leave (0, 1] or do not end in 1.

    References:
      ScaleFL, Ilhan, Su and Liu, CVPR 2023.
    """
    if widths is not None:
        widths = tuple(float(width) for width in widths)
        falls = not all(low <= high for low, high in itertools.pairwise(widths))
        if not widths or falls or widths[0] < _NARROWEST or widths[-1] != 1:
            raise UserError(
                f"`widths` at exits must never fall within [{_NARROWEST}, 1] and end in 1, but "
                f"are {widths}"
            )
    return Extraction(
        shape=functools.partial(_shape, widths=widths),
        order=by_position,
        all_exits=True,
        by_size=True,
        name="depth_width",
    )


def _shape(model: Model, size: int, widths: Sequence[float] | None) -> Shape:
    """Returns the exits, the width and the units kept of one size."""
    rising = _level_widths(widths, model.num_exits)
    # Rational arithmetic: with a binary fraction, `floor` may lose a unit of an exact product.
    position = Fraction(model.num_exits * size, max(model.groups.values()))
    exits = math.ceil(position)
    below, above = rising[exits - 1 : exits + 1]
    width = below + (above - below) * (position - (exits - 1))
    kept = {name: max(1, math.floor(width * count)) for name, count in model.groups.items()}
    return Shape(float(width), tuple(kept.items()), exits)


def _level_widths(widths: Sequence[float] | None, num_exits: int) -> list[Fraction]:
    """Returns `r_0 = 0, r_1, ..., r_E` as the simple fractions nearest to them."""
    if num_exits == 1:
        raise UserError(
            "depth_width needs a model with early exits, and this one has none: use an "
            "`extraction` that cuts the width only, such as prefix, or give the model more `exits`"
        )
    widths = widths or _WIDTHS.get(num_exits)
    if widths is None:
        steps = [Fraction(level, num_exits - 1) for level in range(num_exits)]
        return [Fraction(0), *(Fraction("0.7") + Fraction("0.3") * step for step in steps)]
    if len(widths) != num_exits:
        raise UserError(
            f"depth_width has {len(widths)} widths but the model has {num_exits} exits: give one "
            "of `widths` for each exit"
        )
    return [Fraction(0), *(Fraction(width).limit_denominator(10**6) for width in widths)]
