"""Fixed allocation: the widths that the user lists."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError


def fixed(widths: Sequence[float]) -> Policy:
    """The listed widths as they are: no projection, but never above the budget or a cap.

    Args:
      widths: one width for each client, in client order.

    Returns:
      A budgeted policy. Its widths raise a `UserError` if the list does not fit the clients, or
      leaves the bounds or the budget.
    """
    listed = np.asarray(widths, np.float64)
    return Policy(functools.partial(_fixed_widths, listed), name="fixed")


def _fixed_widths(
    listed: np.ndarray, stats: ClientStats, budget: Budget, key: jax.Array
) -> np.ndarray:
    del key
    if len(listed) != len(stats.num_examples):
        raise UserError(
            f"fixed widths: {len(listed)} listed for {len(stats.num_examples)} clients; "
            "list one width a client in `widths`"
        )
    lower, upper = budget.w_min, budget.caps(stats)
    outside = ~((listed >= lower - 1e-9) & (listed <= upper + 1e-9))
    if outside.any():
        client = int(np.argmax(outside))
        raise UserError(
            f"fixed widths: {listed[client]:.4g} of client {client} is outside "
            f"[{lower:.4g}, {upper[client]:.4g}], its `w_min` and its cap"
        )
    cost = float(stats.shares @ budget.cost(listed))
    if cost > budget.target + 1e-9:
        raise UserError(
            f"fixed widths cost {cost:.4f} ({budget.unit}), above the budget "
            f"{budget.target:.4g}: raise `budget` or narrow the `widths`"
        )
    return listed
