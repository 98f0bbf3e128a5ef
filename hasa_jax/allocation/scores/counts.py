"""Label counts of every client, which the label-based scores share."""

from __future__ import annotations

import itertools

import numpy as np

from hasa_jax.base import ClientData


def label_counts(data: ClientData) -> np.ndarray:
    """Counts every class among each client's targets.

    For next-word prediction the classes are the words of the vocabulary. Padding and
    out-of-vocabulary targets belong to no class and are not counted.

    Args:
      data: training examples of all clients.

    Returns:
      `[N, K]` int64.
    """
    offsets, targets = np.asarray(data.offsets), np.asarray(data.targets)
    counts = np.empty((data.num_clients, data.num_classes), np.int64)
    for client, (start, stop) in enumerate(itertools.pairwise(offsets)):
        labels = targets[start:stop]
        counts[client] = np.bincount(labels[labels >= 0], minlength=data.num_classes)
    return counts


def smoothed(counts: np.ndarray, alpha: float) -> np.ndarray:
    """Returns the Laplace-smoothed distribution `(c + alpha) / (sum c + alpha K)`.

    Args:
      counts: `[..., K]`.
      alpha: added to every count.

    Returns:
      `[..., K]`, summing to 1 over the last axis.
    """
    return (counts + alpha) / (counts.sum(-1, keepdims=True) + alpha * counts.shape[-1])
