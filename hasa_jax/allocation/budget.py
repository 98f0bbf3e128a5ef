"""The compute budget: a size-weighted mean cost that budgeted policies meet.

Client i holds `n_i` examples, so the cost of a round is proportional to `sum_i q_i c(w_i)` with
`q_i = n_i / sum_j n_j`. `c` is the cost of a width relative to the supernet, in width, parameters
or MACs. A policy proposes a *profile* of widths. `projection` scales the profile to the budget,
`rounding` makes sizes of the widths, and the `ledger` records what these sizes cost.

All of this runs on the host in float64: sizes decide array shapes, so they must be concrete.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError
from hasa_jax.supernet.costs import BUDGET_UNITS

PROJECTIONS = ("exact", "paper")
"""How a profile is scaled: by bisection, or by the two passes of the HASA paper."""


@dataclasses.dataclass(frozen=True)
class BudgetSpec:
    """A target for the size-weighted mean cost, with the bounds of single widths.

    Attributes:
      target: `B`, a fraction of the cost of every client training the supernet, in (0, 1].
      unit: what is counted, one of `costs.BUDGET_UNITS`.
      projection: one of `PROJECTIONS`.
      w_min: narrowest width of a client.
      w_max: widest width of a client.
      capacities: the widest subnet that each client's device holds, one width for each client, in
        (0, 1]; every device holds `w_max` if None.

    Raises:
      UserError: if the unit or the projection is unknown, or a number is out of its range.
    """

    target: float = 0.5
    unit: str = "width"
    projection: str = "exact"
    w_min: float = 0.2
    w_max: float = 0.8
    capacities: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        for what, value, known in (
            ("unit", self.unit, BUDGET_UNITS),
            ("projection", self.projection, PROJECTIONS),
        ):
            if value not in known:
                raise UserError(f"unknown budget {what} {value!r}: use one of {', '.join(known)}")
        if not 0 < self.w_min <= self.w_max <= 1:
            raise UserError(
                f"width bounds [{self.w_min}, {self.w_max}] are not usable: "
                "they must satisfy 0 < `w_min` <= `w_max` <= 1"
            )
        if not 0 < self.target <= 1:
            raise UserError(f"`budget` {self.target} is not a fraction in (0, 1]")
        capacities = np.asarray(() if self.capacities is None else self.capacities, np.float64)
        wrong = ~((capacities > 0) & (capacities <= 1))
        if wrong.any():
            found = ", ".join(map(str, capacities[wrong][:3].tolist()))
            raise UserError(f"`capacities` must be widths in (0, 1], not {found}")

    def bind(self, costs: np.ndarray) -> Budget:
        """Returns the budget of one supernet, from its `costs.cost_table` `[H + 1]`."""
        own = {field.name: getattr(self, field.name) for field in dataclasses.fields(BudgetSpec)}
        return Budget(**own, costs=costs)

    def max_widths(self, num_clients: int) -> np.ndarray:
        """Returns the widest subnet that each client's device holds `[N]`.

        Args:
          num_clients: `N`.

        Returns:
          The capacities, or `w_max` for every client without them.

        Raises:
          UserError: if the capacities are not as many as the clients.
        """
        if self.capacities is None:
            return np.full(num_clients, self.w_max)
        if len(self.capacities) != num_clients:
            raise UserError(
                f"{len(self.capacities)} `capacities` for {num_clients} clients: give one a client"
            )
        return np.asarray(self.capacities)


@dataclasses.dataclass(frozen=True, eq=False)
class Budget(BudgetSpec):
    """A budget of one supernet: what a policy sees.

    Attributes:
      costs: relative cost of the sizes 0..H in `unit`, `[H + 1]` float64.
    """

    costs: np.ndarray = dataclasses.field(kw_only=True)

    @property
    def num_units(self) -> int:
        """Units `H` of the largest unit group."""
        return len(self.costs) - 1

    def cost(self, widths: np.ndarray) -> np.ndarray:
        """Returns the relative cost of every width `[N]`, linear between sizes."""
        return np.interp(widths * self.num_units, np.arange(self.num_units + 1), self.costs)

    def caps(self, stats: ClientStats) -> np.ndarray:
        """Returns the upper bound of every client's width `[N]`."""
        return np.minimum(stats.max_widths, self.w_max)

    def sizes_within(self, widths: float | np.ndarray) -> np.ndarray:
        """Returns `max(1, floor(w H))`, the largest size within each width, int64."""
        # The product of a binary fraction may be just below its integer (.29 * 100).
        units = np.floor(np.asarray(widths) * self.num_units + 1e-7)
        return np.maximum(units, 1).astype(np.int64)
