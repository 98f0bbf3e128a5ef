"""Training examples that clients set apart, to measure on."""

from __future__ import annotations

from typing import cast

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import ClientData
from hasa_jax.datasets.mapped import Mapped
from hasa_jax.datasets.permutations import permutations

_ENOUGH = 5
"""A client with fewer training examples sets none apart."""


def hold_out(train: ClientData, share: float, key: jax.Array) -> tuple[ClientData, ClientData]:
    """Divides the training examples of every client at random, with a key of its own.

    A client of `n >= 5` examples sets `max(1, floor(share n))` of them apart, and keeps at least
    one to train on. A smaller one sets none apart.

    Args:
      train: training examples of all clients.
      share: share that is set apart, between 0 and 1.
      key: root key of the run; it is not consumed.

    Returns:
      What is left to train on, and what is set apart; both in the order of `train`.
    """
    counts = np.asarray(train.num_examples, np.int64)
    number = np.minimum(np.maximum(1, np.floor(share * counts + 1e-9)), counts - 1)
    number = np.where(counts >= _ENOUGH, number, 0).astype(np.int64)
    apart = np.zeros(int(counts.sum()), bool)
    starts = np.cumsum(counts) - counts
    for clients, order in permutations(counts, key, keys.Stream.HELD_OUT):
        own = counts[clients]
        rank = np.arange(len(order)) - np.repeat(np.cumsum(own) - own, own)
        apart[np.repeat(starts[clients], own) + order] = rank < np.repeat(number[clients], own)
    return _chosen(train, ~apart, counts - number), _chosen(train, apart, number)


def _chosen(train: ClientData, chosen: np.ndarray, counts: np.ndarray) -> ClientData:
    """Returns some examples; inputs that stay in their file are not read."""
    indices, inputs = np.flatnonzero(chosen), train.inputs
    return ClientData(
        # What data need of an array, `Mapped` has.
        inputs=cast(
            "np.ndarray",
            inputs.chosen(indices) if isinstance(inputs, Mapped) else np.asarray(inputs)[indices],
        ),
        targets=np.asarray(train.targets)[indices],
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        num_classes=train.num_classes,
    )
