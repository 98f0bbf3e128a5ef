"""Size-proportional allocation: width follows the amount of data."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import AllocateFn, Budget, project
from hasa_jax.base import ClientStats


def size_proportional() -> AllocateFn:
    """Widths proportional to the number of training examples, within the bounds.

    Returns:
      An `AllocateFn`.
    """

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        del key
        return project(stats.num_examples / stats.num_examples.max(), stats, budget)

    return allocate
