"""Exclusive allocation: only the clients whose device holds the supernet are trained."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError


def exclusive() -> Policy:
    """Width 1 for clients whose device holds the supernet; the others take no part.

    Clients that take no part are evaluated at the width that their device holds. The policy
    follows no budget: it is what a federation reaches without subnets.

    Returns:
      An unbudgeted policy. Its widths raise a `UserError` if no device holds the supernet.

    References:
      The exclusive-learning bound of DepthFL, Kim et al., ICLR 2023.
    """
    return Policy(_exclusive_widths, budgeted=False, name="exclusive")


def _exclusive_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del budget, key
    able = stats.max_widths >= 1
    if not able.any():
        raise UserError(
            "policy exclusive trains only clients that hold the supernet at full size, but no "
            "capacity is 1: set `w_max` to 1, or one of `capacities`"
        )
    return able.astype(np.float64)
