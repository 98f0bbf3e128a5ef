"""HASA: the more heterogeneous a client's data, the wider its subnet."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.projection import project
from hasa_jax.allocation.stats import ClientStats


def hasa() -> Policy:
    """Widths that rise with the rank of the heterogeneity score, scaled to the budget.

    `r_i = (rank(h_i) - 1) / (N - 1)`, `w_i = w_min + (w_max - w_min) r_i` (Eqs. 13 and 14), then
    the projection to `sum_i q_i c(w_i) = B` (Eqs. 16 and 17).

    Returns:
      A budgeted policy that reads scores.

    References:
      HASA, arXiv 2606.07621.
    """
    return Policy(_hasa_widths, scored=True, name="hasa")


def inverse_hasa() -> Policy:
    """Widths that fall with the rank of the score: the ablation of HASA's direction.

    It is `hasa` of the negated scores, so `w_i = w_max - (w_max - w_min) r_i` before the
    projection.

    Returns:
      A budgeted policy that reads scores.

    References:
      HASA, arXiv 2606.07621.
    """
    return Policy(_inverse_hasa_widths, scored=True, name="inverse_hasa")


def normalized_ranks(scores: np.ndarray) -> np.ndarray:
    """Returns `r_i = (rank_i - 1) / (N - 1)` in [0, 1]; tied scores share their mean rank.

    Args:
      scores: `[N]`.

    Returns:
      `[N]` float64. All are 1/2 if every score is equal, and all NaN if any score is.
    """
    if len(scores) == 1:
        return np.array([0.5])
    if np.isnan(scores).any():
        return np.full(len(scores), np.nan)
    # As `scipy.stats.rankdata`, whose import takes half a second.
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    first = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    starts = np.flatnonzero(first)
    both = starts + np.append(starts[1:], len(scores))
    ranks = np.empty(len(scores))
    ranks[order] = (both[np.cumsum(first) - 1] - 1) / 2 / (len(scores) - 1)
    return ranks


def _hasa_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del key
    return widths_by_rank(stats.scores, stats, budget)


def _inverse_hasa_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del key
    return widths_by_rank(-stats.scores, stats, budget)


def widths_by_rank(scores: np.ndarray, stats: ClientStats, budget: Budget) -> np.ndarray:
    """Spreads widths over the bounds by rank (Eqs. 13 and 14), and scales them to the budget.

    Args:
      scores: a client of a larger one gets a wider subnet `[N]`.
      stats: sizes and device caps of the clients.
      budget: target and bounds.

    Returns:
      Widths `[N]`, float64.
    """
    profile = budget.w_min + (budget.w_max - budget.w_min) * normalized_ranks(scores)
    return project(profile, stats, budget)
