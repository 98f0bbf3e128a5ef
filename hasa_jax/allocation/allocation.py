"""Before round 0: scores, a policy's widths, whole units, and the ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation import budget as budgets
from hasa_jax.base import ClientData, ClientStats, UserError
from hasa_jax.supernet import costs, units
from hasa_jax.supernet.types import Extraction, Model

_LEDGER_ROUNDS = 100
"""Rounds that the ledger of a dynamic allocation averages over."""


@dataclasses.dataclass(frozen=True)
class Allocation:
    """Every client's subnet.

    Attributes:
      units: the size that each client trains at, as units of the largest group `[N]`; those of
        round 0 if they are drawn anew each round.
      widths: the width that this size has under the extraction `[N]`.
      takes_part: which clients are ever trained `[N]`, bool; the others are only evaluated.
      stats: what the policy saw.
      ledger: requested and achieved budgets; of a dynamic allocation the mean over its first
        rounds.
      redraw: `round -> units [N]` of a dynamic allocation, or None.
    """

    units: np.ndarray
    widths: np.ndarray
    takes_part: np.ndarray
    stats: ClientStats
    ledger: budgets.Ledger
    redraw: Callable[[int], np.ndarray] | None = None

    def units_at(self, round: int) -> np.ndarray:
        """Returns the sizes of one round `[N]`."""
        return self.units if self.redraw is None else self.redraw(round)


def allocate(
    data: ClientData,
    model: Model,
    *,
    policy: budgets.AllocateFn,
    scores: np.ndarray,
    key: jax.Array,
    extraction: Extraction | None = None,
    budgeted: bool = True,
    dynamic: bool = False,
    budget: float = 0.5,
    budget_unit: str = "width",
    budget_projection: str = "exact",
    w_min: float = 0.2,
    w_max: float = 0.8,
    capacities: Sequence[float] | None = None,
) -> Allocation:
    """Decides every client's width from its training data, under a size-weighted budget.

    Args:
      data: training examples of all clients; nothing else may be looked at.
      model: the supernet.
      policy: client statistics -> widths (see `POLICIES` and `UNBUDGETED`).
      scores: heterogeneity scores of the clients `[N]`, from a `ScoreFn` on the same data.
      key: root key of the run; it is not consumed.
      extraction: which part of the supernet a client of some size holds, hence what it costs;
        plain widths if None.
      budgeted: whether the policy is held to the budget; those of `UNBUDGETED` are not.
      dynamic: whether the policy deals again each round, from a key of the round.
      budget: target `B` of `sum_i q_i c(w_i)`, a fraction of all clients at full width.
      budget_unit: what `c` counts: `width`, `params` or `macs`.
      budget_projection: `exact` or `paper`.
      w_min: narrowest width.
      w_max: widest width.
      capacities: widest width that each client's device holds; `w_max` if None.

    Returns:
      The allocation.

    Raises:
      UserError: if the budget cannot be met; the message names the feasible interval.
    """
    extraction = extraction or Extraction(shape=units.by_width)
    if budget_unit not in costs.BUDGET_UNITS:
        raise UserError(
            f"unknown budget unit {budget_unit!r}: use one of {', '.join(costs.BUDGET_UNITS)}"
        )
    if budgeted and extraction.mask is not None and budget_unit == "width":
        raise UserError(
            "this extraction keeps single parameters, not units, so it has no width: state its "
            "budget in params, or in (nominal) macs"
        )
    stats = ClientStats(data.num_examples, scores, _caps(data.num_clients, w_max, capacities))
    tables = {
        unit: costs.cost_table(model, extraction, unit)
        for unit in (*costs.BUDGET_UNITS, "executed")
    }
    table = tables[budget_unit]
    target = budgets.Budget(budget, budget_unit, budget_projection, w_min, w_max, table)

    def deal(key: jax.Array) -> tuple[np.ndarray, np.ndarray]:
        widths = policy(stats, target, key)
        if budgeted:
            return budgets.round_to_units(widths, stats, target), widths > 0
        # Who takes no part is evaluated at what its device holds.
        shown = np.where(widths > 0, widths, stats.max_widths)
        return np.array([units.units_of_width(model, width) for width in shown]), widths > 0

    def redraw(round: int) -> np.ndarray:
        return deal(keys.address(key, keys.Stream.REDRAW, round))[0]

    kept, takes_part = deal(keys.address(key, keys.Stream.REDRAW) if dynamic else key)
    q = budgets.shares(stats) * takes_part
    dealt = [redraw(round) for round in range(_LEDGER_ROUNDS)] if dynamic else [kept]
    achieved = {
        unit: float(np.mean([q @ table[kept] / q.sum() for kept in dealt]))
        for unit, table in tables.items()
    }
    return Allocation(
        units=kept,
        widths=np.array([extraction.shape(model, int(k)).width for k in kept]),
        takes_part=takes_part,
        stats=stats,
        ledger=budgets.Ledger(budget if budgeted else float("nan"), budget_unit, **achieved),
        redraw=redraw if dynamic else None,
    )


def _caps(num_clients: int, w_max: float, capacities: Sequence[float] | None) -> np.ndarray:
    """Returns the widest width of every client's device `[N]`."""
    if capacities is not None and len(capacities) != num_clients:
        raise UserError(
            f"{len(capacities)} capacities for {num_clients} clients: give one a client"
        )
    caps = np.full(num_clients, w_max) if capacities is None else np.asarray(capacities)
    if not ((caps > 0) & (caps <= 1)).all():
        raise UserError(f"capacities must be widths in (0, 1], not {caps.tolist()}")
    return caps
