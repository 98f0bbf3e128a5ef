"""Capacity allocation: width follows what the device holds."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.projection import project
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError


def capacity() -> Policy:
    """Widths proportional to the device caps, scaled to the budget: device-driven allocation.

    `w_i = clip(s cap_i, w_min, cap_i)`, with `s` such that `sum_i q_i c(w_i) = B`.

    Returns:
      A budgeted policy. Its widths raise a `UserError` for a budget without capacities.
    """
    return Policy(_capacity_widths, name="capacity")


def _capacity_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del key
    if budget.capacities is None:
        raise UserError("policy capacity follows the devices' widths: list them in `capacities`")
    return project(budget.caps(stats), stats, budget)
