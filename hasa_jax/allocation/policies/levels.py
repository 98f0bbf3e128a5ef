"""Published size levels: clients get one of a few widths, in given proportions."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.rounding import sizes_of_levels
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError


def levels(
    levels: Sequence[float] = (1.0, 0.5, 0.25, 0.125, 0.0625),
    proportions: Sequence[float] | None = None,
    *,
    dynamic: bool = False,
) -> Policy:
    """Distributes clients over levels. It follows no budget; the ledger records its cost.

    A level is a fraction of the supernet in the unit of the budget. Of parameters or MACs, it has
    the size whose cost is nearest. Of widths, it has `ceil(level H)` of `H` units.

    By default the first block of client ids gets the first level, the second block the second
    one, and so on; the clients that rounding leaves over get the last level. A dynamic policy
    draws the level of every client in every round, with the proportions as probabilities.

    Args:
      levels: fractions of the supernet, in (0, 1]; HeteroFL's a to e by default.
      proportions: share of the clients at each level, up to a common factor; equal if None.
      dynamic: whether levels are drawn in every round.

    Returns:
      An unbudgeted policy.

    Raises:
      UserError: if a level is out of its range, or the two lists do not fit each other.

    References:
      HeteroFL, arXiv 2010.01264.
    """
    fractions = np.asarray(levels, np.float64)
    parts = np.ones(len(fractions)) if proportions is None else np.asarray(proportions, np.float64)
    if not len(fractions) or not ((fractions > 0) & (fractions <= 1)).all():
        raise UserError(f"`levels` must be fractions in (0, 1], not {fractions.tolist()}")
    if len(parts) != len(fractions) or not ((parts >= 0).all() and (parts > 0).any()):
        raise UserError(
            f"{len(parts)} proportions for {len(fractions)} levels: give one a level, none "
            "negative, at least one above 0"
        )
    parts = parts / parts.max()  # The sum of the given numbers may overflow.
    parts = parts / parts.sum()
    give = _drawn_widths if dynamic else _widths_in_blocks
    widths = functools.partial(give, fractions, parts)
    return Policy(widths, budgeted=False, dynamic=dynamic, levels=True, name="levels")


def _widths_in_blocks(
    fractions: np.ndarray, parts: np.ndarray, stats: ClientStats, budget: Budget, key: jax.Array
) -> np.ndarray:
    """Gives each level to a block of neighbouring client ids."""
    del key
    count = len(stats.num_examples)
    # The product of a binary fraction may be just below its integer.
    blocks = np.floor(parts * count + 1e-9).astype(int)
    blocks[-1] += count - blocks.sum()
    return np.repeat(_widths_of(fractions, budget), blocks)


def _drawn_widths(
    fractions: np.ndarray, parts: np.ndarray, stats: ClientStats, budget: Budget, key: jax.Array
) -> np.ndarray:
    """Draws the level of every client."""
    generator = keys.generator(keys.address(key, keys.Stream.ALLOCATION))
    drawn = generator.choice(len(fractions), size=len(stats.num_examples), p=parts)
    return _widths_of(fractions, budget)[drawn]


def _widths_of(fractions: np.ndarray, budget: Budget) -> np.ndarray:
    """Returns the widths of levels that are fractions in the unit of the budget."""
    return sizes_of_levels(fractions, budget.unit, budget.costs) / budget.num_units
