"""Allocation by measured need: width goes to the clients whose loss falls most for it."""

from __future__ import annotations

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.curves import Curves, curves_of
from hasa_jax.allocation.exchange import exchange_units
from hasa_jax.allocation.greedy import best_costs, mean_of_largest
from hasa_jax.allocation.policies.random import spread_widths
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.projection import check_feasible
from hasa_jax.allocation.rounding import add_units, round_to_sizes
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError

NEED_OBJECTIVES = ("mean", "worst", "tail")
"""What policy need makes least: the mean loss of all clients, of the worst, or of the worst few."""

_TOLERANCE = 1e-9


class _Options(NamedTuple):
    """Options of the policy, as `need` has them."""

    objective: str
    shrinkage: float
    margin: float
    tail_fraction: float


def need(
    objective: str = "mean",
    *,
    reallocate_every: int = 5,
    num_widths: int = 4,
    held_out: float = 0.1,
    shrinkage: float = 100.0,
    margin: float = 0.1,
    tail_fraction: float = 0.25,
) -> Policy:
    """Widths that make the predicted loss of the clients least, from losses that they measured.

    Every `reallocate_every` rounds each client computes its loss at `num_widths` nested widths, on
    training examples that it sets apart and never trains on. Then:

    1. Curves of clients with few held-out targets move towards the mean curve, by
       `t_i / (t_i + shrinkage)` (`curves.shrunk`).
    2. The gains of every client get their least concave majorant (`curves.convex`).
    3. The budget `sum_i q_i c(w_i) <= B` goes where the objective gains most for its cost
       (`greedy.best_costs`). The objective is the mean of the `k` largest losses, with `k` the
       number of clients for `mean`, 1 for `worst` and `ceil(tail_fraction N)` for `tail`. Widths
       become sizes by rounding down, and single units use up what that leaves.
    4. The clients keep their present widths, unless the new ones gain more by more than a share
       `margin` of what the budget gains at all:
       `J(present) - J(new) > margin (J(least widths) - J(new))`.

    Before the first measurement, and in the first round after each, widths are those of `random`,
    drawn in every round. So all units of the supernet are trained, and those of wide subnets stay
    fit to be measured where no client holds them.

    Args:
      objective: one of `NEED_OBJECTIVES`.
      reallocate_every: rounds between measurements, at least 2.
      num_widths: widths that are measured, at least 2.
      held_out: share of each client's training examples that it measures on.
      shrinkage: held-out targets that the mean curve counts as.
      margin: share of the gain of the budget that new widths must add, from 0 to 1.
      tail_fraction: share of the clients in the tail.

    Returns:
      A budgeted policy that reallocates.

    Raises:
      UserError: for an unknown objective, or a number out of its range.

    References:
      Fox, Discrete optimization via marginal analysis, Management Science 1966.
    """
    if objective not in NEED_OBJECTIVES:
        raise UserError(
            f"unknown `objective` {objective!r}: use one of {', '.join(NEED_OBJECTIVES)}"
        )
    if reallocate_every < 2:
        raise UserError(f"`reallocate_every` is {reallocate_every}: it must be at least 2")
    for name, value, most in (
        ("shrinkage", shrinkage, math.inf),
        ("margin", margin, 1.0),
        ("tail_fraction", tail_fraction, 1.0),
    ):
        if not 0 <= value <= most or math.isinf(value):
            span = "at least 0" if math.isinf(most) else "from 0 to 1"
            raise UserError(f"`{name}` is {value}: it must be {span}")
    options = _Options(objective, float(shrinkage), float(margin), float(tail_fraction))
    return Policy(
        functools.partial(_need_widths, options),
        dynamic=True,
        reallocate_every=reallocate_every,
        num_widths=num_widths,
        held_out=held_out,
        name="need",
    )


def _need_widths(
    options: _Options, stats: ClientStats, budget: Budget, key: jax.Array
) -> np.ndarray:
    """Draws widths before anything is measured, and then follows what was measured."""
    # The two passes of the paper would miss the budget.
    budget = dataclasses.replace(budget, projection="exact")
    check_feasible(stats, budget)
    measured = stats.measured
    if measured is None:
        sizes = round_to_sizes(spread_widths(stats, budget, key), stats, budget)
        _use_up(sizes, np.zeros(len(sizes)), stats, budget)
        return sizes / budget.num_units
    curves = curves_of(measured, budget.cost(measured.widths), options.shrinkage)
    count = _largest(options, len(stats.num_examples))
    sizes = _best_sizes(curves, stats, budget, count)
    if measured.current is None:
        return sizes / budget.num_units
    losses = [
        mean_of_largest(curves.at(budget.cost(widths)), count)
        for widths in (measured.current, sizes / budget.num_units)
    ]
    bound = mean_of_largest(curves.losses[:, 0], count) - losses[1]
    gains = losses[0] - losses[1] > options.margin * bound + _TOLERANCE
    return sizes / budget.num_units if gains else measured.current


def _largest(options: _Options, num_clients: int) -> int:
    """Returns how many of the largest losses the objective counts."""
    if options.objective == "mean":
        return num_clients
    if options.objective == "worst":
        return 1
    return max(1, math.ceil(options.tail_fraction * num_clients - 1e-9))


def _best_sizes(curves: Curves, stats: ClientStats, budget: Budget, largest: int) -> np.ndarray:
    """Returns the sizes that make the mean of the largest losses least `[N]`, int64."""
    most = budget.sizes_within(budget.caps(stats))
    costs = best_costs(curves, stats.shares, budget.costs[most], budget.target, largest)
    units = np.interp(costs, budget.costs, np.arange(budget.num_units + 1))
    sizes = np.minimum(budget.sizes_within(units / budget.num_units), most)
    own, more = budget.costs[sizes], budget.costs[np.minimum(sizes + 1, most)]
    losses = curves.at(own)
    gains = (losses - curves.at(more)) / (stats.shares * np.maximum(more - own, 1e-300))
    counts = losses >= np.sort(losses)[-largest]
    _use_up(sizes, np.where(counts, gains, 0.0), stats, budget)
    return sizes


def _use_up(sizes: np.ndarray, gains: np.ndarray, stats: ClientStats, budget: Budget) -> None:
    """Adds single units in place while one fits: for the largest gain, else the least size.

    If that leaves much, because only large clients can be wider, they exchange units with others.
    """
    most = budget.sizes_within(budget.caps(stats))
    before = -1
    while before < int(sizes.sum()):
        before = int(sizes.sum())
        order = np.lexsort((sizes, -gains))
        wanted = np.empty(len(sizes))
        wanted[order] = np.arange(len(sizes), 0, -1)
        target = budget.target + _TOLERANCE
        add_units(sizes, most, wanted, stats.shares, budget.costs, target)
    least = int(budget.sizes_within(budget.w_min))
    exchange_units(sizes, least, most, stats.shares, budget.costs, budget.target)
