"""Random allocation: HASA's profile of widths, dealt out by chance."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.budget import AllocateFn, Budget, project
from hasa_jax.base import ClientStats


def random() -> AllocateFn:
    """Evenly spread widths in `[w_min, w_max]`, permuted by the key, scaled to the budget.

    The control for HASA: as unequal, but blind to the data.

    Returns:
      An `AllocateFn`.
    """

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        profile = np.linspace(budget.w_min, budget.w_max, len(stats.num_examples))
        shuffle = keys.generator(keys.address(key, keys.Stream.ALLOCATION))
        return project(shuffle.permutation(profile), stats, budget)

    return allocate
