"""The compute budget: a size-weighted mean cost that every policy has to meet.

Client i holds `n_i` examples, so a round spends in proportion to
`sum_i q_i c(w_i)` with `q_i = n_i / sum_j n_j`, `c` being the cost of a width relative to
the supernet (in width, parameters or MACs). A policy proposes a *profile* of widths; the
projection scales it to the budget; rounding gives whole units; the ledger says what was met.

Runs on the host in float64: widths decide array shapes, so they must be concrete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from hasa_jax.base import ClientStats, UserError

PROJECTIONS = ("exact", "paper")
"""How a profile is scaled: by bisection, or by the two passes of the HASA paper."""

_TOLERANCE = 1e-9


@dataclasses.dataclass(frozen=True)
class Budget:
    """A target for the size-weighted mean cost, with the bounds on single widths.

    Attributes:
      target: `B`, as a fraction of every client training the supernet.
      unit: what is counted: `width`, `params` or `macs`.
      projection: `exact` or `paper`.
      w_min: narrowest width of a client.
      w_max: widest width of a client; devices may hold less (`ClientStats.max_widths`).
      costs: relative cost of 0..H units, `[H + 1]` float64 (see `costs.cost_table`).
    """

    target: float
    unit: str
    projection: str
    w_min: float
    w_max: float
    costs: np.ndarray

    def __post_init__(self) -> None:
        if self.projection not in PROJECTIONS:
            raise UserError(
                f"unknown budget projection {self.projection!r}: "
                f"use one of {', '.join(PROJECTIONS)}"
            )
        if not 0 < self.w_min <= self.w_max <= 1:
            raise UserError(
                f"width bounds [{self.w_min}, {self.w_max}] are not usable: "
                "they must satisfy 0 < w_min <= w_max <= 1"
            )
        if not 0 < self.target <= 1:
            raise UserError(f"budget {self.target} is not a fraction in (0, 1]")

    @property
    def num_units(self) -> int:
        """Units `H` of the largest unit group."""
        return len(self.costs) - 1

    def cost(self, widths: np.ndarray) -> np.ndarray:
        """Returns the relative cost of every width `[N]`, linear between whole units."""
        return np.interp(widths * self.num_units, np.arange(self.num_units + 1), self.costs)

    def caps(self, stats: ClientStats) -> np.ndarray:
        """Returns the upper bound of every client's width `[N]`."""
        return np.minimum(stats.max_widths, self.w_max)


@dataclasses.dataclass(frozen=True)
class Ledger:
    """What was asked for and what the whole-unit widths really cost.

    Attributes:
      requested: the budget `B`; NaN for an allocation that follows no budget.
      unit: the unit that `requested` is stated in.
      width: achieved size-weighted mean width.
      params: achieved size-weighted mean of the parameter fraction.
      macs: achieved size-weighted mean of the MAC fraction; nominal for single parameters.
      executed: the same of the MACs that dense kernels execute on truly narrow subnets.
    """

    requested: float
    unit: str
    width: float
    params: float
    macs: float
    executed: float


AllocateFn = Callable[[ClientStats, Budget, jax.Array], np.ndarray]
"""`(stats, budget, key) -> widths [N]` within the bounds: an allocation policy."""


def shares(stats: ClientStats) -> np.ndarray:
    """Returns `q_i = n_i / sum_j n_j` `[N]`."""
    return stats.num_examples / stats.num_examples.sum()


def project(profile: np.ndarray, stats: ClientStats, budget: Budget) -> np.ndarray:
    """Scales a profile of widths to the budget within the bounds.

    `w_i = clip(s * profile_i, w_min, cap_i)` with one factor `s` for all clients.
    `exact` finds the `s` with `sum_i q_i c(w_i) = B` by bisection (the sum grows with `s`).
    `paper` makes the two passes `s = B / sum_j q_j c(w_j)`, `w <- clip(s w)` of HASA's Eqs.
    16 and 17. They miss the budget where bounds bind (by .0236 at most for seven clients, B =
    .5, widths in [.2, .8]) and, the factor being linear, more in units of params or macs.

    Args:
      profile: positive widths `[N]`; only their ratios matter.
      stats: sizes and device caps of the clients.
      budget: target and bounds.

    Returns:
      Widths `[N]`, float64, not yet whole units.

    Raises:
      UserError: if no widths within the bounds meet the budget; it names the feasible interval.

    References:
      HASA, arXiv 2606.07621.
    """
    check_feasible(stats, budget)
    q = shares(stats)
    if budget.projection == "paper":
        widths = profile
        for _ in range(2):
            scale = budget.target / (q @ budget.cost(widths))
            widths = np.clip(scale * widths, budget.w_min, budget.caps(stats))
        return widths
    # Bounds in whole units leave a client at its bound no remainder that rounding would lose.
    lower = whole_units(budget.w_min, budget) / budget.num_units
    upper = whole_units(budget.caps(stats), budget) / budget.num_units
    low, high = 0.0, 1.0 / profile.min()
    for _ in range(200):
        middle = 0.5 * (low + high)
        reached = q @ budget.cost(np.clip(middle * profile, lower, upper))
        low, high = (middle, high) if reached < budget.target else (low, middle)
    return np.clip(high * profile, lower, upper)


def check_feasible(stats: ClientStats, budget: Budget) -> None:
    """Refuses a budget that no widths within the bounds can meet."""
    upper, q = budget.caps(stats), shares(stats)
    if (upper < budget.w_min - _TOLERANCE).any():
        client = int(np.argmin(upper))
        raise UserError(
            f"client {client} holds at most width {upper[client]:.4g}, below w_min "
            f"{budget.w_min:.4g}: lower w_min or raise its capacity"
        )
    # A client keeps one unit at least, which may be wider than w_min.
    narrowest = max(budget.w_min, 1 / budget.num_units)
    least = q @ budget.cost(np.full(len(q), narrowest))
    most = q @ budget.cost(upper)
    if not least - _TOLERANCE <= budget.target <= most + _TOLERANCE:
        raise UserError(
            f"budget {budget.target:.4g} ({budget.unit}) is infeasible: sizes between "
            f"{narrowest:.4g} and the caps reach only [{least:.4f}, {most:.4f}]"
        )


def sizes_at(levels: np.ndarray, unit: str, costs: np.ndarray) -> np.ndarray:
    """Returns the sizes of published levels.

    Args:
      levels: fractions of the supernet, in (0, 1], of any shape.
      unit: what they are fractions of: `width`, `params` or `macs`.
      costs: relative cost of 0..H units in this unit (see `costs.cost_table`).

    Returns:
      Units of the largest group, int64: `max(1, ceil(w H))` of a width, as published methods
      round, and of params or macs the size whose cost is nearest.
    """
    finest = len(costs) - 1
    if unit == "width":
        # A binary fraction may exceed the whole number that it stands for.
        return np.maximum(np.ceil(levels * finest - 1e-9), 1).astype(np.int64)
    return 1 + np.abs(costs[1:] - np.asarray(levels)[..., None]).argmin(axis=-1)


def whole_units(widths: float | np.ndarray, budget: Budget) -> np.ndarray:
    """Returns `max(1, floor(w H))`, the whole units within each width."""
    # A binary fraction may fall short of the whole number that it stands for (.29 * 100).
    return np.maximum(np.floor(np.asarray(widths) * budget.num_units + 1e-7), 1).astype(np.int64)


def round_to_units(widths: np.ndarray, stats: ClientStats, budget: Budget) -> np.ndarray:
    """Turns widths into whole units of the largest group, never above the budget.

    Every client first gets `floor(w_i H)`, at least 1; then, by largest remainder, one more
    unit goes to whoever's fits under `min(B, sum_i q_i c(w_i))`. After the exact projection
    what is left is less than one client's unit, for the width budget less than `max_i q_i / H`,
    unless the caps in whole units cannot spend `B`. Where the widths exceed the budget (the
    paper's two passes can), units are taken back by smallest remainder. Bounds hold in whole
    units, too: no client is above `floor(cap_i H)` or below `floor(w_min H)` units.

    Args:
      widths: `[N]`.
      stats: sizes of the clients.
      budget: the budget.

    Returns:
      Units kept `[N]`, int64, at least 1.
    """
    finest, q = budget.num_units, shares(stats)
    exact = widths * finest
    kept = whole_units(widths, budget)
    most = whole_units(budget.caps(stats), budget)
    target = min(budget.target, float(q @ budget.cost(widths))) + _TOLERANCE
    remainder = exact - kept

    for client in np.argsort(-remainder, kind="stable"):
        step = np.eye(len(q), dtype=np.int64)[client]
        wants_more = remainder[client] > 1e-7 and kept[client] < most[client]
        if wants_more and q @ budget.costs[kept + step] <= target:
            kept = kept + step
    least = whole_units(budget.w_min, budget)
    while q @ budget.costs[kept] > target and (kept > least).any():
        client = int(np.argmin(np.where(kept > least, exact - kept, np.inf)))
        kept[client] -= 1
    return kept
