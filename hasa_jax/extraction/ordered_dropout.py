"""Ordered dropout: a prefix, of which every step trains a narrower prefix."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from hasa_jax.base import UserError
from hasa_jax.extraction.prefix import by_position
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Extraction


def ordered_dropout(
    levels: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0),
    teacher: bool = False,
    client_levels: Sequence[float] = (),
) -> Extraction:
    """Keeps a prefix of the client's width; each step draws that width or a level below it.

    The step's width is `p ~ Uniform({p in levels: p < p_max} + {p_max})`, where `p_max` is the
    client's. This is the published rule if `p_max` is one of the levels.

    Args:
      levels: widths, rising.
      teacher: whether each step also runs the client's full subnet, for self-distillation.
      client_levels: published widths `p_max` of the clients; one of them keeps `ceil(U p_max)`
        of U units.

    Returns:
      An `Extraction`.

    Raises:
      UserError: if the levels do not rise within (0, 1], or one of a client is not in it.

    References:
      FjORD, arXiv 2102.13451.
    """
    levels = tuple(float(level) for level in levels)
    rising = all(low < high for low, high in itertools.pairwise(levels))
    if not (levels and rising and levels[0] > 0 and levels[-1] <= 1):
        raise UserError(f"`levels` of ordered dropout must rise within (0, 1], but are {levels}")
    return Extraction(
        shape=units.shape_of_levels(client_levels),
        order=by_position,
        levels=levels,
        teacher=teacher,
        by_size=True,
        name="ordered_dropout",
    )
