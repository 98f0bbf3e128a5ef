"""HASA's score: how far a client's labels are from those of all clients."""

from __future__ import annotations

import functools
from typing import Any

import jax
import numpy as np

from hasa_jax.allocation.scores.counts import counts_in_blocks, smoothed
from hasa_jax.allocation.scores.score import Score
from hasa_jax.base import ClientData
from hasa_jax.supernet.types import Model


def label_divergence(alpha: float = 1.0) -> Score:
    """Scores a client by the divergence of its training labels from the pooled ones.

    `h_i = JSD(p_i || p_pooled)` (HASA, Eq. 11) with `p_i = (c_i + alpha) / sum_k (c_ik + alpha)`,
    `c_i` being the client's label counts, and `p_pooled` the same of `sum_j c_j`.

    Args:
      alpha: Laplace smoothing of the label counts.

    Returns:
      A `Score` for which clients send their label counts; scores are in nats, within [0, ln 2].

    References:
      HASA, arXiv 2606.07621.
    """
    return Score(functools.partial(_score, alpha=alpha), _class_counts)


def _score(data: ClientData, model: Model, key: jax.Array, *, alpha: float) -> np.ndarray:
    del model, key
    return divergence_of_values(data.offsets, data.targets, data.num_classes, alpha)


def _class_counts(data: ClientData, model: Model) -> int:
    """Returns the numbers of a client's label counts."""
    del model
    return data.num_classes


def divergence_of_values(offsets: Any, values: Any, bins: int, alpha: float) -> np.ndarray:
    """Computes the divergence of every client's values from all values.

    The counts of all clients are never in memory at once.

    Args:
      offsets: client i owns the examples `offsets[i]:offsets[i + 1]`, `[N + 1]`.
      values: integers below `bins`, `[D, ...]`; negative ones are not counted.
      bins: number of values.
      alpha: Laplace smoothing, 0 for none.

    Returns:
      Jensen-Shannon divergences `[N]` float64 in nats.
    """
    found = np.asarray(values)
    pooled = smoothed(np.bincount(found[found >= 0], minlength=bins), alpha)[None]
    blocks = counts_in_blocks(offsets, found, bins)
    return np.concatenate([jensen_shannon(smoothed(counts, alpha), pooled) for counts in blocks])


def divergence_of_counts(counts: np.ndarray, alpha: float) -> np.ndarray:
    """Computes the divergence of every client's smoothed counts from the pooled counts.

    The pooled distribution is smoothed once, on the summed counts. It is not the mean of the
    clients' distributions.

    Args:
      counts: label counts `[N, K]`.
      alpha: Laplace smoothing, 0 for none.

    Returns:
      Jensen-Shannon divergences `[N]` float64 in nats.
    """
    return jensen_shannon(smoothed(counts, alpha), smoothed(counts.sum(0), alpha)[None])


def jensen_shannon(p: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Computes the Jensen-Shannon divergence over the last axis.

    `JSD(p || q) = KL(p || m) / 2 + KL(q || m) / 2` with `m = (p + q) / 2`.

    Args:
      p: distributions `[..., K]`.
      q: distributions, broadcastable to `p`.

    Returns:
      `[...]` in nats, within [0, ln 2].
    """
    m = (p + q) / 2
    return (_relative_entropy(p, m) + _relative_entropy(np.broadcast_to(q, m.shape), m)) / 2


def _relative_entropy(p: np.ndarray, m: np.ndarray) -> np.ndarray:
    """Computes `KL(p || m) = sum_k p_k ln(p_k / m_k)`, for `m` above 0 wherever `p` is."""
    ratio = np.divide(p, m, out=np.ones_like(m), where=p > 0)
    return (p * np.log(ratio)).sum(-1)
