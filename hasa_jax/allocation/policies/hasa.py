"""HASA: the more heterogeneous a client's data, the wider its subnet."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import AllocateFn, Budget, project
from hasa_jax.allocation.policies.ranks import normalized_ranks
from hasa_jax.base import ClientStats


def hasa(inverse: bool = False) -> AllocateFn:
    """Widths that rise with the rank of the heterogeneity score, scaled to the budget.

    `r_i = (rank(h_i) - 1) / (N - 1)`, `w_i = w_min + (w_max - w_min) r_i` (Eqs. 13 and 14),
    then the projection to `sum_i q_i c(w_i) = B` (Eqs. 16 and 17).

    Args:
      inverse: the directionality ablation: widths that *fall* with the rank.

    Returns:
      An `AllocateFn`.

    References:
      HASA, arXiv 2606.07621.
    """

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        del key
        ranks = normalized_ranks(-stats.scores if inverse else stats.scores)
        profile = budget.w_min + (budget.w_max - budget.w_min) * ranks
        return project(profile, stats, budget)

    return allocate
