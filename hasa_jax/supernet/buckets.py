"""Few compiled sizes for many that occur: consecutive sizes run at the largest of their group."""

from __future__ import annotations

import numpy as np


def consecutive_groups(
    costs: np.ndarray, counts: np.ndarray, least: int, within: float = np.inf
) -> list[int]:
    """Finds the groups of consecutive sizes that together cost the least, if all run as the last.

    Dynamic programming over the first `j` sizes in `g` groups:
    `best[g, j] = min_{i < j} best[g - 1, i] + (counts[i] + ... + counts[j - 1]) costs[j - 1]`.

    Args:
      costs: of every size `[n]`, rising.
      counts: how often each occurs `[n]`.
      least: groups to make, if there are so many sizes.
      within: more groups are made until they cost at most so many times what every size costs
        by itself; by default there are no more.

    Returns:
      Where the groups end, rising: positions of their last sizes.
    """
    number = len(costs)
    before = np.concatenate([[0], np.cumsum(counts)])
    own = float(np.dot(counts, costs))
    best = np.concatenate([[0.0], np.full(number, np.inf)])
    starts: list[np.ndarray] = []
    while len(starts) < min(least, number) or (within < np.inf and best[-1] > within * own):
        totals = best[None, :-1] + (before[1:, None] - before[None, :-1]) * costs[:, None]
        totals[np.triu_indices(number, 1)] = np.inf
        starts.append(totals.argmin(axis=1))
        best = np.concatenate([[np.inf], totals.min(axis=1)])
    ends, stop = [], number
    for choice in reversed(starts):
        ends.append(stop - 1)
        stop = int(choice[stop - 1])
    return ends[::-1]
