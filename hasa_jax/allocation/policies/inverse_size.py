"""Inverse-size allocation: the less data a client has, the wider its subnet."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policies.hasa import widths_by_rank
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.stats import ClientStats


def inverse_size() -> Policy:
    """HASA's widths for the score `-n_i`: the fewer training examples, the wider.

    `r_i = (rank(-n_i) - 1) / (N - 1)`, `w_i = w_min + (w_max - w_min) r_i`, then the projection. It
    is a control of HASA: its widths are as unequal, but follow the number of examples only, with
    which a divergence of labels falls by chance, too.

    Returns:
      A budgeted policy.

    References:
      The profile of widths is that of HASA, arXiv 2606.07621.
    """
    return Policy(_inverse_size_widths, name="inverse_size")


def _inverse_size_widths(stats: ClientStats, budget: Budget, key: jax.Array) -> np.ndarray:
    del key
    return widths_by_rank(-stats.num_examples, stats, budget)
