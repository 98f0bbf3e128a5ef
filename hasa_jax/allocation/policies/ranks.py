"""Ranks of scores, the scale on which HASA compares clients."""

from __future__ import annotations

import numpy as np


def normalized_ranks(scores: np.ndarray) -> np.ndarray:
    """Returns `r_i = (rank_i - 1) / (N - 1)` in [0, 1], ties sharing their mean rank.

    Args:
      scores: `[N]`.

    Returns:
      `[N]`; all 1/2 when every score is equal, all not-a-number when any score is.
    """
    if len(scores) == 1:
        return np.array([0.5])
    if np.isnan(scores).any():
        return np.full(len(scores), np.nan)
    # As `scipy.stats.rankdata`, which takes half a second to import.
    ordered = np.sort(scores)
    below, up_to = (np.searchsorted(ordered, scores, side) for side in ("left", "right"))
    return (below + up_to - 1) / 2 / (len(scores) - 1)
