"""The costs of all clients that make the mean of their largest losses least, under a budget.

The greedy rule, the most gain for a unit of budget first, is exact on convex curves of loss. The
mean of the `k` largest losses is `min_t t + sum_i max(l_i - t, 0) / k` (Rockafellar and Uryasev).
For one `t` that is a sum over clients of convex curves, which end where the loss reaches `t`, so
the greedy rule is exact for it. The value is convex in `t`, so a search by thirds finds the best.
"""

from __future__ import annotations

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
    costs, order = np.full(len(shares), curves.costs[0]), _steepest_first(curves, shares)
    least = -np.inf
    if largest < len(shares):
        least = _best_end(curves, shares, caps, budget, largest, order)
    for end in dict.fromkeys((least, -np.inf)):
        costs = _fill(curves, shares, caps, budget, costs, end, order)
    return _even(costs, shares, caps, budget)


def mean_of_largest(losses: np.ndarray, largest: int) -> float:
    """Returns the mean of the largest losses.

    Args:
      losses: `[N]`.
      largest: how many.
    """
    return float(np.sort(losses)[-largest:].mean())


def _steepest_first(curves: Curves, shares: np.ndarray) -> np.ndarray:
    """Returns the parts of all curves, the one with the most gain for a unit of budget first.

    Slopes of a client fall, and equal ones stay in their order.
    """
    return np.argsort(-(curves.slopes / shares[:, None]).ravel(), kind="stable")


def _best_end(
    curves: Curves,
    shares: np.ndarray,
    caps: np.ndarray,
    budget: float,
    largest: int,
    order: np.ndarray,
) -> float:
    """Returns the loss below which no client needs to come."""
    start = np.full(len(shares), curves.costs[0])

    def value(end: float) -> float:
        reached = curves.at(_fill(curves, shares, caps, budget, start, end, order))
        return end + float(np.maximum(reached - end, 0.0).sum()) / largest

    low, high = float(curves.losses.min()), float(curves.losses[:, 0].max())
    for _ in range(_THIRDS):
        third = (high - low) / 3
        if value(low + third) <= value(high - third):
            high -= third
        else:
            low += third
    return low


def _fill(
    curves: Curves,
    shares: np.ndarray,
    caps: np.ndarray,
    budget: float,
    start: np.ndarray,
    end: float,
    order: np.ndarray,
) -> np.ndarray:
    """Spends the budget where it gains most, on clients whose loss is above `end`."""
    slopes = curves.slopes
    first, last = curves.costs[:-1], np.minimum(curves.costs[1:], caps[:, None])
    if np.isfinite(end):
        above = np.maximum(curves.losses[:, :-1] - end, 0.0)
        last = np.minimum(last, first + above / np.maximum(slopes, 1e-300))
    lengths = np.maximum(last - np.maximum(first, start[:, None]), 0.0) * (slopes > 0)
    wanted = (shares[:, None] * lengths).ravel()
    left = max(budget - float(shares @ start), 0.0)
    before = np.cumsum(wanted[order]) - wanted[order]
    spent = np.zeros(len(wanted))
    spent[order] = np.clip(left - before, 0.0, wanted[order])
    return start + spent.reshape(slopes.shape).sum(axis=1) / shares


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
