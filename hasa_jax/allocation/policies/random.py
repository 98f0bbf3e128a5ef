"""Random allocation: HASA's profile of widths, in random order."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.projection import project
from hasa_jax.allocation.stats import ClientStats


def random(*, dynamic: bool = False) -> Policy:
    """Evenly spread widths in `[w_min, w_max]`, permuted by the key, scaled to the budget.

    It is the control of HASA: its widths are as unequal, but do not depend on the data.

    Args:
      dynamic: whether the widths are permuted in every round.

    Returns:
      A budgeted policy.
    """
    return Policy(spread_widths, dynamic=dynamic, name="random")


def spread_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    """Draws who gets which of some evenly spread widths, and scales them to the budget.

    Args:
      stats: sizes and device caps of the clients.
      budget: target and bounds.
      key: consumed.

    Returns:
      Widths `[N]`.
    """
    profile = np.linspace(budget.w_min, budget.w_max, len(stats.num_examples))
    generator = keys.generator(keys.address(key, keys.Stream.ALLOCATION))
    return project(generator.permutation(profile), stats, budget)
