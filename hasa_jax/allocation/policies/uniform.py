"""Uniform allocation: one width for everybody."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import AllocateFn, Budget, project
from hasa_jax.base import ClientStats


def uniform() -> AllocateFn:
    """Equal widths at the budget; a client whose device holds less gets its cap.

    Returns:
      An `AllocateFn`.
    """

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        del key
        return project(np.ones(len(stats.num_examples)), stats, budget)

    return allocate
