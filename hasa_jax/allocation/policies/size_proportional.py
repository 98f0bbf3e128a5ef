"""Size-proportional allocation: width follows the amount of data."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.projection import project
from hasa_jax.allocation.stats import ClientStats


def size_proportional() -> Policy:
    """Widths proportional to the number of training examples, scaled to the budget.

    `w_i = clip(s n_i, w_min, cap_i)`, with `s` such that `sum_i q_i c(w_i) = B`.

    Returns:
      A budgeted policy.
    """
    return Policy(_size_proportional_widths, name="size_proportional")


def _size_proportional_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del key
    return project(stats.num_examples / stats.num_examples.max(), stats, budget)
