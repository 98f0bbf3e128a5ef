"""Fixed allocation: the widths that the user lists."""

from __future__ import annotations

from collections.abc import Sequence

import jax
import numpy as np

from hasa_jax.allocation.budget import AllocateFn, Budget, shares
from hasa_jax.base import ClientStats, UserError


def fixed(widths: Sequence[float]) -> AllocateFn:
    """The listed widths as they are: no projection, but never above the budget or a cap.

    Args:
      widths: one width a client, in client order.

    Returns:
      An `AllocateFn`; it raises a `UserError` if the list does not fit the clients.
    """
    listed = np.asarray(widths, np.float64)

    def allocate(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
        del key
        if len(listed) != len(stats.num_examples):
            raise UserError(
                f"fixed widths: {len(listed)} listed for {len(stats.num_examples)} clients; "
                "list one width a client"
            )
        lower, upper = budget.w_min, budget.caps(stats)
        outside = ~((listed >= lower - 1e-9) & (listed <= upper + 1e-9))
        if outside.any():
            client = int(np.argmax(outside))
            raise UserError(
                f"fixed widths: {listed[client]:.4g} of client {client} is outside "
                f"[{lower:.4g}, {upper[client]:.4g}], its w_min and its cap"
            )
        cost = float(shares(stats) @ budget.cost(listed))
        if cost > budget.target + 1e-9:
            raise UserError(
                f"fixed widths cost {cost:.4f} ({budget.unit}), above the budget "
                f"{budget.target:.4g}: raise the budget or narrow the widths"
            )
        return listed

    return allocate
