"""Ranks of scores, the scale on which HASA compares clients."""

from __future__ import annotations

import numpy as np
import scipy.stats


def normalized_ranks(scores: np.ndarray) -> np.ndarray:
    """Returns `r_i = (rank_i - 1) / (N - 1)` in [0, 1], ties sharing their mean rank.

    Args:
      scores: `[N]`.

    Returns:
      `[N]`; all 1/2 when every score is equal.
    """
    if len(scores) == 1:
        return np.array([0.5])
    return (scipy.stats.rankdata(scores, method="average") - 1) / (len(scores) - 1)
