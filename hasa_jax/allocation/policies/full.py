"""Full allocation: every client trains the supernet."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.stats import ClientStats


def full() -> Policy:
    """Width 1 for every client, whatever its device holds: FedAvg on the supernet.

    It follows no budget: it is an upper bound for policies that do.

    Returns:
      An unbudgeted policy.

    References:
      FedAvg, arXiv 1602.05629.
    """
    return Policy(_full_widths, budgeted=False, name="full")


def _full_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del budget, key
    return np.ones(len(stats.num_examples))
