"""The ledger: which budget was requested, and what the allocated sizes cost."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np


@dataclasses.dataclass(frozen=True)
class Ledger:
    """The requested budget, and the cost of the allocated sizes in every unit.

    Costs are size-weighted means over the clients that take part, as fractions of the supernet.

    Attributes:
      requested: the budget `B`; NaN for a policy that follows no budget.
      unit: the unit of `requested`.
      width: achieved mean width.
      params: achieved mean of the parameters.
      macs: achieved mean of the MACs; nominal for single parameters.
      executed: achieved mean of the MACs that dense kernels execute on narrow subnets.
    """

    requested: float
    unit: str
    width: float
    params: float
    macs: float
    executed: float


def mean_costs(
    rounds: Sequence[np.ndarray], weights: np.ndarray, tables: Mapping[str, np.ndarray]
) -> dict[str, float]:
    """Computes `mean_r sum_i q_i c(k_ri) / sum_i q_i` in every unit.

    Args:
      rounds: sizes `k` of the clients in each of some rounds, `[N]` each.
      weights: share `q` of each client, 0 for those that take no part `[N]`.
      tables: `{unit: relative cost of the sizes 0..H}`.

    Returns:
      `{unit: achieved cost}`.
    """
    return {
        unit: float(np.mean([weights @ table[sizes] / weights.sum() for sizes in rounds]))
        for unit, table in tables.items()
    }
