"""Exchanges of units between two clients, where a budget is left that no single unit fits in."""

from __future__ import annotations

import numpy as np

_SMALL = 0.005
"""Cost that may be left, as a share of the supernet's: half of what tables tolerate."""

_MOST_CLIENTS = 1000
"""With more clients, a unit of one of them is small."""


def exchange_units(
    sizes: np.ndarray, least: int, most: np.ndarray, q: np.ndarray, costs: np.ndarray, target: float
) -> None:
    """Gives one client a unit, and takes as many of another one as that needs, while it helps.

    Only more than .005 of the supernet's cost is worth an exchange. Of those that leave less,
    the one that takes the fewest units back is made; if there is none, the one that leaves least.

    Args:
      sizes: units of each client `[N]`, int64; changed in place.
      least: the fewest that a client may have.
      most: the most that each of them may have `[N]`.
      q: shares of the clients `[N]`.
      costs: relative cost of the sizes 0..H, rising.
      target: the most that all of them may cost.
    """
    if len(sizes) > _MOST_CLIENTS:
        return
    left = target - float(q @ costs[sizes])
    while left > _SMALL:
        more = np.minimum(sizes + 1, most)
        wanted = q * (costs[more] - costs[sizes]) - left
        # The size of the client [j] that frees what the client [i] wants.
        freed = costs[sizes][None, :] - wanted[:, None] / q[None, :]
        fewer = np.searchsorted(costs, freed + 1e-12, side="right") - 1
        rest = q[None, :] * (costs[sizes][None, :] - costs[np.maximum(fewer, 0)]) - wanted[:, None]
        usable = (fewer >= least) & (sizes < most)[:, None] & (wanted > 0)[:, None]
        usable &= (rest < left - 1e-12) & (rest >= -1e-12) & ~np.eye(len(sizes), dtype=bool)
        if not usable.any():
            return
        taken = np.where(rest <= _SMALL, sizes[None, :] - fewer, len(costs) * (1 + rest))
        one, other = np.unravel_index(np.argmin(np.where(usable, taken, np.inf)), usable.shape)
        left = float(rest[one, other])
        sizes[one] += 1
        sizes[other] = fewer[one, other]
