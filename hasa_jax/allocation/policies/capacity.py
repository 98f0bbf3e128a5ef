"""Capacity allocation: width follows what the device holds."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import AllocateFn, Budget, project
from hasa_jax.base import ClientStats


def capacity() -> AllocateFn:
    """Widths proportional to the device caps, scaled to the budget: device-driven allocation.

    Returns:
      An `AllocateFn`.
    """

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        del key
        return project(budget.caps(stats), stats, budget)

    return allocate
