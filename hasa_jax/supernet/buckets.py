"""Few buckets for many sizes: consecutive sizes form a group that is compiled at its largest."""

from __future__ import annotations

import numpy as np


def consecutive_groups(costs: np.ndarray, counts: np.ndarray, each: float, most: int) -> list[int]:
    """Divides sizes into groups of neighbours that cost the least when all run as the largest.

    A group itself costs something: it is compiled.

    Dynamic programming over the first `j` sizes in `g` groups:
    `best[g, j] = min_{i < j} best[g - 1, i] + (counts[i] + ... + counts[j - 1]) costs[j - 1]`.

    Args:
      costs: cost of every size `[n]`, rising.
      counts: how often each size occurs `[n]`.
      each: what a group costs.
      most: most groups.

    Returns:
      The position of the last size of each group, rising.
    """
    number = len(costs)
    before = np.concatenate([[0], np.cumsum(counts)])
    best = np.concatenate([[0.0], np.full(number, np.inf)])
    starts: list[np.ndarray] = []
    found: list[float] = []
    for groups in range(1, min(most, number) + 1):
        totals = best[None, :-1] + (before[1:, None] - before[None, :-1]) * costs[:, None]
        totals[np.triu_indices(number, 1)] = np.inf
        starts.append(totals.argmin(axis=1))
        best = np.concatenate([[np.inf], totals.min(axis=1)])
        found.append(float(best[-1]) + groups * each)
    ends, stop = [], number
    for choice in reversed(starts[: int(np.argmin(found)) + 1]):
        ends.append(stop - 1)
        stop = int(choice[stop - 1])
    return ends[::-1]
