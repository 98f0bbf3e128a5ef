"""The projection: a profile of widths, scaled to the budget."""

from __future__ import annotations

import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError

_TOLERANCE = 1e-9


def project(profile: np.ndarray, stats: ClientStats, budget: Budget) -> np.ndarray:
    """Scales a profile of widths to the budget, within the bounds.

    `w_i = clip(s * profile_i, w_min, cap_i)` with one factor `s` for all clients.

    * `exact` finds the `s` with `sum_i q_i c(w_i) = B` by bisection: the sum grows with `s`.
    * `paper` makes the two passes `s = B / sum_j q_j c(w_j)`, `w <- clip(s w)` of HASA's Eqs. 16
      and 17. They miss the budget where bounds are active (by .0236 at most for seven clients,
      `B` = .5 and widths in [.2, .8]). They miss it by more in units of params or MACs, because
      their factor is linear.

    Args:
      profile: positive widths `[N]`; only their ratios matter.
      stats: sizes and device caps of the clients.
      budget: target and bounds.

    Returns:
      Widths `[N]`, float64, not yet rounded to sizes.

    Raises:
      UserError: if no widths within the bounds meet the budget; it names the feasible interval.

    References:
      HASA, arXiv 2606.07621.
    """
    check_feasible(stats, budget)
    q = stats.shares
    if budget.projection == "paper":
        widths = profile / max(1.0, profile.max())  # Costs are known up to width 1.
        for _ in range(2):
            scale = budget.target / (q @ budget.cost(widths))
            widths = np.clip(scale * widths, budget.w_min, budget.caps(stats))
        return widths
    # Bounds that are sizes leave a client at its bound no remainder that rounding would lose.
    lower = budget.sizes_within(budget.w_min) / budget.num_units
    upper = budget.sizes_within(budget.caps(stats)) / budget.num_units
    low, high = 0.0, 1.0 / profile.min()
    for _ in range(200):
        middle = 0.5 * (low + high)
        if not low < middle < high:
            break  # No number is between them.
        reached = q @ budget.cost(np.clip(middle * profile, lower, upper))
        low, high = (middle, high) if reached < budget.target else (low, middle)
    return np.clip(high * profile, lower, upper)


def check_feasible(stats: ClientStats, budget: Budget) -> None:
    """Refuses a budget that no widths within the bounds can meet.

    Args:
      stats: sizes and device caps of the clients.
      budget: target and bounds.

    Raises:
      UserError: naming the client whose device holds too little, or the feasible interval.
    """
    upper, q = budget.caps(stats), stats.shares
    if (upper < budget.w_min - _TOLERANCE).any():
        client = int(np.argmin(upper))
        raise UserError(
            f"client {client} holds at most width {upper[client]:.4g}, below w_min "
            f"{budget.w_min:.4g}: lower `w_min`, or raise the client's entry of `capacities`"
        )
    # A client keeps at least one unit, which may be wider than w_min.
    narrowest = max(budget.w_min, 1 / budget.num_units)
    least = q @ budget.cost(np.full(len(q), narrowest))
    most = q @ budget.cost(upper)
    if not least - _TOLERANCE <= budget.target <= most + _TOLERANCE:
        widest = f"{budget.w_max:.4g}"
        if budget.capacities is not None:
            cut = (stats.max_widths > budget.w_max).any()
            widest = f"the caps, cut at `w_max` {widest}," if cut else "the caps"
        raise UserError(
            f"`budget` {budget.target:.4g} ({budget.unit}) is infeasible: sizes between "
            f"{narrowest:.4g} and {widest} reach only [{least:.4f}, {most:.4f}]"
        )
