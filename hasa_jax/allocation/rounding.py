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

    for client in np.argsort(-remainder, kind="stable"):
        step = np.eye(len(q), dtype=np.int64)[client]
        wants_more = remainder[client] > 1e-7 and sizes[client] < most[client]
        if wants_more and q @ budget.costs[sizes + step] <= target:
            sizes = sizes + step
    least = budget.sizes_within(budget.w_min)
    while q @ budget.costs[sizes] > target and (sizes > least).any():
        client = int(np.argmin(np.where(sizes > least, units - sizes, np.inf)))
        sizes[client] -= 1
    return sizes


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
