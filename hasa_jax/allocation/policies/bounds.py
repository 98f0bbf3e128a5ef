"""Allocations that bound what a budgeted one can reach: all full, all smallest, only the able.

They follow no budget; the ledger says what they cost.
"""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import AllocateFn, Budget
from hasa_jax.base import ClientStats, UserError


def full() -> AllocateFn:
    """Width 1 for every client, whatever its device holds: FedAvg on the supernet.

    Returns:
      An `AllocateFn`.

    References:
      FedAvg, arXiv 1602.05629.
    """

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        del budget, key
        return np.ones(len(stats.num_examples))

    return allocate


def smallest() -> AllocateFn:
    """The smallest client's width for every client: FedAvg on a model that everybody holds.

    Returns:
      An `AllocateFn`: the least of the devices' widths if they differ, `w_min` otherwise.
    """

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        del key
        differ = np.ptp(stats.max_widths) > 0
        width = float(stats.max_widths.min()) if differ else budget.w_min
        return np.full(len(stats.num_examples), width)

    return allocate


def exclusive() -> AllocateFn:
    """Width 1 for clients whose device holds the supernet; the others take no part.

    Returns:
      An `AllocateFn`; it raises a `UserError` if no device holds the supernet.

    References:
      The exclusive-learning bound of DepthFL, Kim et al., ICLR 2023.
    """

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        del budget, key
        able = stats.max_widths >= 1
        if not able.any():
            raise UserError(
                "policy exclusive trains only clients that hold the whole supernet, but no "
                "capacity is 1: set w_max to 1, or a client's capacity"
            )
        return able.astype(np.float64)

    return allocate
