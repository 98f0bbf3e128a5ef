"""Smallest allocation: every client trains the model that the weakest device holds."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.stats import ClientStats


def smallest() -> Policy:
    """The smallest client's width for every client: FedAvg on a model that all devices hold.

    The width is the least of the devices' widths if they differ, and `w_min` otherwise. The
    policy follows no budget: it is a lower bound for policies that do.

    Returns:
      An unbudgeted policy.
    """
    return Policy(_smallest_widths, budgeted=False, name="smallest")


def _smallest_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del key
    differ = np.ptp(stats.max_widths) > 0
    width = float(stats.max_widths.min()) if differ else budget.w_min
    return np.full(len(stats.num_examples), width)
