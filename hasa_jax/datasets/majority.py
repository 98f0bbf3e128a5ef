"""The simplest prediction: always the target that training has most often."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from hasa_jax.base import IGNORED, ClientData, FederatedDataset


class Majority(NamedTuple):
    """What the most frequent training target reaches as the prediction of every test target.

    Attributes:
      target: the class, or the token of next-word data (its unigram).
      accuracy: share of each client's test targets that are it `[N]`; NaN of a client without any.
      targets: test targets of each client, unknown ones too `[N]`.
    """

    target: int
    accuracy: np.ndarray
    targets: np.ndarray


def majority(dataset: FederatedDataset) -> Majority:
    """Predicts the most frequent target of all clients' training examples.

    `k* = argmax_k sum_i |{t in train_i: t = k}|`; the accuracy of client i is
    `|{t in test_i: t = k*}| / |test_i|`. Padding counts nowhere, an unknown target is a miss.

    Args:
      dataset: with targets `[D]` or `[D, T]`.

    Returns:
      The target, the smallest of equally frequent ones, and what it reaches.
    """
    trained = np.asarray(dataset.train.targets).ravel()
    counts = np.bincount(trained[trained >= 0], minlength=1)
    target = int(counts.argmax())
    values = np.asarray(dataset.test.targets)
    hits = _by_client(dataset.test, values == target)
    targets = _by_client(dataset.test, values != IGNORED)
    with np.errstate(invalid="ignore"):
        return Majority(target, hits / targets, targets)


def _by_client(data: ClientData, marks: np.ndarray) -> np.ndarray:
    """Counts marks `[D]` or `[D, T]` of every client `[N]`."""
    of_example = marks.reshape(len(marks), -1).sum(axis=1)
    before = np.concatenate([[0], np.cumsum(of_example)])
    return np.diff(before[np.asarray(data.offsets)])
