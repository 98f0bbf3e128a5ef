"""Rounding: from widths to sizes."""

from __future__ import annotations

import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.stats import ClientStats

_TOLERANCE = 1e-9


def round_to_sizes(widths: np.ndarray, stats: ClientStats, budget: Budget) -> np.ndarray:
    """Turns widths into sizes, never above the budget.

    Every client first gets `floor(w_i H)` units, at least 1. Then clients get one more unit, in
    the order of their remainders, where it fits under `min(B, sum_i q_i c(w_i))`. After the exact
    projection less than one client's unit is left, for the width budget less than `max_i q_i / H`,
    unless the rounded caps cannot use up `B`. Where the widths exceed the budget, as those of the
    paper's two passes can, units are taken back in the opposite order. The bounds hold for sizes
    too: no client is above `floor(cap_i H)` or below `floor(w_min H)` units.

    Args:
      widths: `[N]`.
      stats: sizes and device caps of the clients.
      budget: target and bounds.

    Returns:
      Sizes `[N]`, int64, at least 1.
    """
    q, units = stats.shares, widths * budget.num_units
    sizes = budget.sizes_within(widths)
    most = budget.sizes_within(budget.caps(stats))
    target = min(budget.target, float(q @ budget.cost(widths))) + _TOLERANCE
    remainder = units - sizes

    spent = add_units(sizes, most, remainder, q, budget.costs, target)
    _take_units_back(
        sizes, budget.sizes_within(budget.w_min), units, q, budget.costs, target, spent
    )
    return sizes


def add_units(
    sizes: np.ndarray,
    most: np.ndarray,
    wanted: np.ndarray,
    q: np.ndarray,
    costs: np.ndarray,
    target: float,
) -> float:
    """Gives clients one more unit where it fits, those that want it most first.

    Args:
      sizes: units of each client `[N]`, int64; changed in place.
      most: the most that each of them may have `[N]`.
      wanted: how much each of them wants a unit `[N]`; at 0 it gets none.
      q: shares of the clients `[N]`.
      costs: relative cost of the sizes 0..H.
      target: the most that all of them may cost.

    Returns:
      The cost afterwards.
    """
    wants_more = (wanted > 1e-7) & (sizes < most)
    order = np.argsort(-wanted, kind="stable")
    order = order[wants_more[order]]
    steps = q[order] * (costs[sizes[order] + 1] - costs[sizes[order]])
    spent, first = float(q @ costs[sizes]), 0
    while first < len(order):
        # A sum from left to right, as of one client after the other.
        reached = np.cumsum(np.append(spent, steps[first:]))[1:]
        count = int(np.argmax(np.append(reached > target, True)))
        sizes[order[first : first + count]] += 1
        spent = float(reached[count - 1]) if count else spent
        first += count
        fits = spent + steps[first:] <= target
        if not fits.any():
            break
        first += int(np.argmax(fits))
    return spent


def _take_units_back(
    sizes: np.ndarray,
    least: np.ndarray | int,
    units: np.ndarray,
    q: np.ndarray,
    costs: np.ndarray,
    target: float,
    spent: float,
) -> None:
    """Takes single units from the smallest remainders until the cost meets the target."""
    if spent <= target:
        return
    remainder = units - sizes
    own = np.flatnonzero(sizes > least)
    while own.size:
        # A client that gives a unit has a remainder that is larger by 1, so it comes once here.
        here = np.floor(remainder[own]) == np.floor(remainder[own].min())
        order = own[here][np.argsort(remainder[own[here]], kind="stable")]
        steps = q[order] * (costs[sizes[order]] - costs[sizes[order] - 1])
        reached = np.cumsum(np.append(spent, -steps))[1:]
        met = reached <= target
        count = int(np.argmax(met)) + 1 if met.any() else len(order)
        sizes[order[:count]] -= 1
        remainder[order[:count]] += 1
        if met.any():
            return
        spent = float(reached[-1])
        own = own[sizes[own] > least]


def sizes_of_levels(levels: np.ndarray, unit: str, costs: np.ndarray) -> np.ndarray:
    """Returns the sizes of published levels.

    Args:
      levels: fractions of the supernet, in (0, 1], of any shape.
      unit: what they are fractions of: `width`, `params` or `macs`.
      costs: relative cost of the sizes 0..H in this unit (see `costs.cost_table`).

    Returns:
      Sizes, int64, of the shape of `levels`. A width has the size `max(1, ceil(w H))`, as
      published methods round. A fraction of params or MACs has the size whose cost is nearest.
    """
    num_units = len(costs) - 1
    if unit == "width":
        # The product of a binary fraction may be just above its integer.
        return np.maximum(np.ceil(levels * num_units - 1e-9), 1).astype(np.int64)
    return 1 + np.abs(costs[1:] - np.asarray(levels)[..., None]).argmin(axis=-1)
