"""Label entropy: how varied a client's own labels are."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.scores.counts import label_counts
from hasa_jax.base import ClientData
from hasa_jax.supernet.types import Model, ScoreFn


def entropy_of_counts(counts: np.ndarray) -> np.ndarray:
    """Entropy of every client's label distribution.

    Args:
      counts: label counts `[N, K]`.

    Returns:
      `[N]` in nats, 0 for a client without labels.
    """
    # A client may have no label inside the classes at all.
    p = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)


def entropy() -> ScoreFn:
    """Scores a client by `H_i = -sum_k p_ik ln p_ik` of its training labels, in nats.

    Returns:
      A `ScoreFn`; a client of many evenly used labels scores high.
    """

    def score(data: ClientData, model: Model, key: jax.Array) -> np.ndarray:
        del model, key
        return entropy_of_counts(label_counts(data))

    return score
