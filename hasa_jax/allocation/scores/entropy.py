"""Label entropy: how varied a client's own labels are."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.scores.counts import counts_in_blocks
from hasa_jax.allocation.scores.score import Score, one_number
from hasa_jax.base import ClientData
from hasa_jax.supernet.types import Model


def entropy() -> Score:
    """Scores a client by the entropy of its training labels.

    `h_i = -sum_k p_ik ln p_ik` with `p_ik = c_ik / sum_k c_ik`, `c_ik` being the number of the
    client's targets of class k. A client with many evenly used labels scores high.

    Returns:
      A `Score`; scores are in nats, within [0, ln K].
    """
    return Score(_score, one_number)


def _score(data: ClientData, model: Model, key: jax.Array) -> np.ndarray:
    del model, key
    blocks = counts_in_blocks(data.offsets, data.targets, data.num_classes)
    return np.concatenate([entropy_of_counts(counts) for counts in blocks])


def entropy_of_counts(counts: np.ndarray) -> np.ndarray:
    """Computes the entropy of every client's label distribution.

    Args:
      counts: label counts `[N, K]`.

    Returns:
      `[N]` float64 in nats, 0 for a client without labels.
    """
    # All targets of a client may be outside the classes.
    p = counts / np.maximum(counts.sum(-1, keepdims=True), 1)
    return -(p * np.log(np.where(p > 0, p, 1.0))).sum(-1)
