"""The costs of all clients that make the mean of their largest losses least, under a budget.

The greedy rule, the most gain for a unit of budget first, is exact on convex curves of loss. The
mean of the `k` largest losses is `min_t t + sum_i max(l_i - t, 0) / k` (Rockafellar and Uryasev).
For one `t` that is a sum over clients of convex curves, which end where the loss reaches `t`, so
the greedy rule is exact for it. The value is convex in `t`, so a search by thirds finds the best.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hasa_jax.allocation.curves import Curves

_THIRDS = 60
"""Steps of a search by thirds; each one leaves two thirds of the interval."""

_HALVES = 60
"""Steps of a search by halves."""


def best_costs(
    curves: Curves, shares: np.ndarray, caps: np.ndarray, budget: float, largest: int
) -> np.ndarray:
    """Chooses the cost of every client.

    It minimises the mean of the `largest` largest losses under `sum_i q_i c_i <= budget`. What that
    leaves of the budget goes to the mean of all losses, and the rest to the cheapest subnets.

    Args:
      curves: loss of every client by cost, from its least cost on.
      shares: shares `q` of the clients `[N]`.
      caps: the most that each of them may cost `[N]`.
      budget: the most that all of them may cost, and at least what the least costs add up to.
      largest: how many losses count: `N` for the mean, 1 for the worst.

    Returns:
      Costs `[N]`, which use up the budget if the caps allow it.
    """
    costs, parts = np.full(len(shares), curves.costs[0]), _parts_of(curves, shares, caps)
    least = -np.inf
    if largest < len(shares):
        least = _best_end(curves, parts, budget, largest)
    for end in dict.fromkeys((least, -np.inf)):
        costs = _fill(parts, budget, costs, end)
    return _even(costs, shares, caps, budget)


def mean_of_largest(losses: np.ndarray, largest: int) -> float:
    """Returns the mean of the largest losses.

    Args:
      losses: `[N]`.
      largest: how many.
    """
    return float(np.sort(losses)[-largest:].mean())


class _Parts(NamedTuple):
    """The linear parts of all curves; a search fills them many times, so they are made once.

    Attributes:
      shares: shares of the clients `[N, 1]`.
      first: cost at which each part begins `[W - 1]`.
      last: cost at which it ends, at most the client's cap `[N, W - 1]`.
      losses: loss at its beginning `[N, W - 1]`.
      slopes: loss that it loses for a unit of cost `[N, W - 1]`.
      order: all parts, the one with the most gain for a unit of budget first.
    """

    shares: np.ndarray
    first: np.ndarray
    last: np.ndarray
    losses: np.ndarray
    slopes: np.ndarray
    order: np.ndarray


def _parts_of(curves: Curves, shares: np.ndarray, caps: np.ndarray) -> _Parts:
    """Returns the parts of all curves up to the caps."""
    slopes, shares = curves.slopes, shares[:, None]
    last = np.minimum(curves.costs[1:], caps[:, None])
    # Slopes of a client fall, and equal ones stay in their order.
    order = np.argsort(-(slopes / shares).ravel(), kind="stable")
    return _Parts(shares, curves.costs[:-1], last, curves.losses[:, :-1], slopes, order)


def _best_end(curves: Curves, parts: _Parts, budget: float, largest: int) -> float:
    """Returns the loss below which no client needs to come."""
    start = np.full(len(parts.shares), curves.costs[0])

    def value(end: float) -> float:
        reached = curves.at(_fill(parts, budget, start, end))
        return end + float(np.maximum(reached - end, 0.0).sum()) / largest

    low, high = float(curves.losses.min()), float(curves.losses[:, 0].max())
    for _ in range(_THIRDS):
        third = (high - low) / 3
        if value(low + third) <= value(high - third):
            high -= third
        else:
            low += third
    return low


def _fill(parts: _Parts, budget: float, start: np.ndarray, end: float) -> np.ndarray:
    """Spends the budget where it gains most, on clients whose loss is above `end`."""
    # In place, as new memory for all parts takes longer than to compute them.
    wanted = parts.last.copy()
    if np.isfinite(end):
        reached = parts.losses - end
        np.maximum(reached, 0.0, out=reached)
        reached /= np.maximum(parts.slopes, 1e-300)
        reached += parts.first
        np.minimum(wanted, reached, out=wanted)
    wanted -= np.maximum(parts.first, start[:, None])
    np.maximum(wanted, 0.0, out=wanted)
    wanted *= parts.slopes > 0
    wanted *= parts.shares
    queue = wanted.ravel()[parts.order]
    spent = np.cumsum(queue)
    spent -= queue
    left = max(budget - float(parts.shares[:, 0] @ start), 0.0)
    np.clip(np.subtract(left, spent, out=spent), 0.0, queue, out=spent)
    wanted.ravel()[parts.order] = spent
    return start + wanted.sum(axis=1) / parts.shares[:, 0]


def _even(costs: np.ndarray, shares: np.ndarray, caps: np.ndarray, budget: float) -> np.ndarray:
    """Raises the least costs to one level, up to the caps, that uses up the budget."""
    low, high = float(costs.min()), float(max(caps.max(), costs.max()))
    for _ in range(_HALVES):
        middle = 0.5 * (low + high)
        if float(shares @ np.maximum(costs, np.minimum(middle, caps))) <= budget:
            low = middle
        else:
            high = middle
    return np.maximum(costs, np.minimum(low, caps))
