"""Published size levels: clients dealt over a few widths in given proportions."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.budget import AllocateFn, Budget, sizes_at
from hasa_jax.base import ClientStats, UserError


def levels(
    levels: Sequence[float] = (1.0, 0.5, 0.25, 0.125, 0.0625),
    proportions: Sequence[float] | None = None,
    *,
    draw: bool = False,
) -> AllocateFn:
    """Deals clients over levels; it follows no budget, the ledger says what it costs.

    Levels are fractions of what the budget counts: of parameters or MACs, where each gets the size
    that is nearest, or of widths, where they are positions `k / H` among the sizes.

    `fix`: the first block of client ids gets the first level, and so on; what rounding leaves
    gets the last one. `dynamic` (`draw`): every client's level is drawn in these proportions,
    anew each round if the allocation is dynamic.

    Args:
      levels: fractions of the supernet, HeteroFL's a to e if not given.
      proportions: of clients at each level; equal if None.
      draw: whether to draw levels instead of dealing them in blocks.

    Returns:
      An `AllocateFn`.

    Raises:
      UserError: if the two lists do not fit each other.

    References:
      HeteroFL, arXiv 2010.01264.
    """
    listed = np.asarray(levels, np.float64)
    parts = np.ones(len(listed)) if proportions is None else np.asarray(proportions, np.float64)
    if not len(listed) or not ((listed > 0) & (listed <= 1)).all():
        raise UserError(f"levels must be fractions in (0, 1], not {listed.tolist()}")
    if len(parts) != len(listed) or not ((parts >= 0).all() and (parts > 0).any()):
        raise UserError(
            f"{len(parts)} proportions for {len(listed)} levels: give one a level, none "
            "negative, at least one above 0"
        )
    parts = parts / parts.max()  # Their sum might be too large for a number.
    parts = parts / parts.sum()

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        widths = sizes_at(listed, budget.unit, budget.costs) / budget.num_units
        count = len(stats.num_examples)
        if draw:
            generator = keys.generator(keys.address(key, keys.Stream.ALLOCATION))
            return widths[generator.choice(len(listed), size=count, p=parts)]
        # A binary fraction may fall short of the whole number that it stands for.
        sizes = np.floor(parts * count + 1e-9).astype(int)
        sizes[-1] += count - sizes.sum()
        return np.repeat(widths, sizes)

    return allocate
