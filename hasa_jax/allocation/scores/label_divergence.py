"""HASA's score: how far a client's labels are from everybody's."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.scores.counts import label_counts, smoothed
from hasa_jax.base import ClientData
from hasa_jax.supernet.types import Model, ScoreFn


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence over the last axis.

    `JSD(p || q) = KL(p || m) / 2 + KL(q || m) / 2` with `m = (p + q) / 2`.

    Args:
      p: distributions `[..., K]`.
      q: distributions, broadcastable to `p`.

    Returns:
      `[...]` in nats, within [0, ln 2].
    """
    m = (p + q) / 2

    def relative_entropy(a: np.ndarray) -> np.ndarray:
        # 0 ln 0 = 0, and m is 0 only where both distributions are.
        ratio = np.divide(a, m, out=np.ones_like(m), where=a > 0)
        return (a * np.log(ratio)).sum(-1)

    return (relative_entropy(p) + relative_entropy(np.broadcast_to(q, m.shape))) / 2


def divergence_of_counts(counts: np.ndarray, alpha: float) -> np.ndarray:
    """Jensen-Shannon divergence of every client's smoothed counts from the pooled counts.

    The pooled distribution is smoothed once, on the summed counts; it is not the mean of the
    clients' distributions.

    Args:
      counts: label counts `[N, K]`.
      alpha: Laplace smoothing, 0 for none.

    Returns:
      `[N]` in nats.
    """
    return jensen_shannon(smoothed(counts, alpha), smoothed(counts.sum(0), alpha)[None])


def label_divergence(alpha: float = 1.0) -> ScoreFn:
    """Scores a client by `h_i = JSD(p_i || p_pooled)` of its training labels (HASA, Eq. 11).

    Args:
      alpha: Laplace smoothing of the label counts.

    Returns:
      A `ScoreFn`.

    References:
      HASA, arXiv 2606.07621.
    """

    def score(data: ClientData, model: Model, key: jax.Array) -> np.ndarray:
        del model, key
        return divergence_of_counts(label_counts(data), alpha)

    return score
