"""Label counts of every client, which the label-based scores share."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from hasa_jax.base import ClientData

_COUNTS_OF_A_BLOCK = 2**20


def label_counts(data: ClientData) -> np.ndarray:
    """Counts every class among each client's targets.

    For next-word prediction the classes are the words of the vocabulary. Padding and
    out-of-vocabulary targets belong to no class and are not counted.

    Args:
      data: training examples of all clients.

    Returns:
      `[N, K]` int64.
    """
    return np.concatenate([*counts_in_blocks(data.offsets, data.targets, data.num_classes)])


def counts_in_blocks(offsets: Any, values: Any, bins: int) -> Iterator[np.ndarray]:
    """Counts each value among each client's examples, for some clients at a time.

    Args:
      offsets: client i owns the examples `offsets[i]:offsets[i + 1]`, `[N + 1]`.
      values: integers below `bins`, `[D, ...]`; negative ones are not counted.
      bins: number of values.

    Yields:
      Counts `[n, bins]` int64 of the next n clients. A block has so few clients that its counts
      take 8 MiB, however many clients there are.
    """
    offsets, values = np.asarray(offsets, np.int64), np.asarray(values)
    most = max(1, _COUNTS_OF_A_BLOCK // max(1, bins))
    for first in range(0, len(offsets) - 1, most):
        own = offsets[first : first + most + 1]
        found = values[own[0] : own[-1]].reshape(own[-1] - own[0], -1)
        owners = np.repeat(np.arange(len(own) - 1), np.diff(own))[:, None]
        places = (owners * bins + found)[found >= 0]
        yield np.bincount(places, minlength=(len(own) - 1) * bins).reshape(-1, bins)


def smoothed(counts: np.ndarray, alpha: float) -> np.ndarray:
    """Returns the Laplace-smoothed distribution `(c + alpha) / (sum c + alpha K)`.

    Args:
      counts: `[..., K]`.
      alpha: added to every count.

    Returns:
      `[..., K]`, summing to 1 over the last axis.
    """
    return (counts + alpha) / (counts.sum(-1, keepdims=True) + alpha * counts.shape[-1])
