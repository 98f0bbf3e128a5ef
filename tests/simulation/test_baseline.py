"""What is recorded of the most frequent target, and of clients that few targets measure."""

import numpy as np
import pytest

from hasa_jax.base import ClientData, FederatedDataset
from hasa_jax.simulation.baseline import FEW, baseline


def data(targets, offsets):
    targets = np.array(targets, np.int32)
    return ClientData(np.zeros((len(targets), 1), np.float32), targets, np.array(offsets), 2)


def test_by_hand():
    train = data([1, 1, 0], [0, 1, 2, 3])
    # Client 0 has as many targets as it takes, client 1 has four, client 2 none.
    test = data([1] * FEW + [0, 0, 0, 1], [0, FEW, FEW + 4, FEW + 4])
    dataset = FederatedDataset(train, test, test, ("a", "b", "c"))
    found = baseline(dataset, 0.5, np.arange(3))
    assert found["target"] == 1
    assert found["mean_accuracy"] == pytest.approx((1 + 1 / 4) / 2)
    assert found["worst_accuracy"] == found["tail_accuracy"] == 0.25
    assert (found["clients"], found["fewest_targets"], found["clients_of_few"]) == (2, 4, 1)
    some = baseline(dataset, 0.5, np.array([1, 2]))
    assert (some["target"], some["mean_accuracy"], some["clients"]) == (1, 0.25, 1)
