"""Uniform allocation: one width for all clients."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.projection import project
from hasa_jax.allocation.stats import ClientStats


def uniform() -> Policy:
    """Equal widths at the budget; a client whose device holds less gets its cap.

    `w_i = min(s, cap_i)`, with `s` such that `sum_i q_i c(w_i) = B`.

    Returns:
      A budgeted policy.
    """
    return Policy(_uniform_widths, name="uniform")


def _uniform_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del key
    return project(np.ones(len(stats.num_examples)), stats, budget)
