"""Before round 0: scores, a policy's widths, whole units, and the ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np

from hasa_jax import budget as budgets
from hasa_jax import costs
from hasa_jax.base import ClientData, ClientStats, Model, UserError


@dataclasses.dataclass(frozen=True)
class Allocation:
    """Every client's subnet, fixed for the run.

    Attributes:
      units: units of the largest group that each client keeps `[N]`.
      widths: the same as a fraction of the supernet `[N]`.
      stats: what the policy saw.
      ledger: requested and achieved budgets.
    """

    units: np.ndarray
    widths: np.ndarray
    stats: ClientStats
    ledger: budgets.Ledger


def allocate(
    data: ClientData,
    model: Model,
    *,
    policy: budgets.AllocateFn,
    scores: np.ndarray,
    key: jax.Array,
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
      policy: client statistics -> widths (see `POLICIES`).
      scores: heterogeneity scores of the clients `[N]`, from a `ScoreFn` on the same data.
      key: root key of the run; it is not consumed.
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
    num_clients = data.num_clients
    if capacities is not None and len(capacities) != num_clients:
        raise UserError(
            f"{len(capacities)} capacities for {num_clients} clients: give one a client"
        )
    caps = np.full(num_clients, w_max) if capacities is None else np.asarray(capacities)
    if not ((caps > 0) & (caps <= 1)).all():
        raise UserError(f"capacities must be widths in (0, 1], not {caps.tolist()}")
    stats = ClientStats(num_examples=data.num_examples, scores=scores, max_widths=caps)
    tables = {unit: costs.cost_table(model, unit) for unit in costs.BUDGET_UNITS}
    if budget_unit not in tables:
        raise UserError(
            f"unknown budget unit {budget_unit!r}: use one of {', '.join(costs.BUDGET_UNITS)}"
        )
    target = budgets.Budget(
        budget, budget_unit, budget_projection, w_min, w_max, tables[budget_unit]
    )
    kept = budgets.round_to_units(policy(stats, target, key), stats, target)
    achieved = {unit: float(budgets.shares(stats) @ table[kept]) for unit, table in tables.items()}
    return Allocation(
        units=kept,
        widths=kept / target.num_units,
        stats=stats,
        ledger=budgets.Ledger(budget, budget_unit, **achieved),
    )
