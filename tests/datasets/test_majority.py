"""The most frequent training target as the prediction of everything: by hand."""

import numpy as np

from hasa_jax.base import IGNORED, UNKNOWN, ClientData, FederatedDataset
from hasa_jax.datasets.majority import majority


def data(targets, offsets, num_classes=4):
    targets = np.array(targets, np.int32)
    return ClientData(
        np.zeros((len(targets), 2), np.float32), targets, np.array(offsets), num_classes
    )


def dataset(train, test):
    names = tuple(f"client {n}" for n in range(test.num_clients))
    return FederatedDataset(train, test, test, names)


def test_of_classes():
    # Class 2 is the most frequent of all clients together, though not of the first one.
    train = data([0, 0, 2, 2, 2, 1], [0, 2, 6, 6])
    test = data([0, 2, 2, 2, 1], [0, 2, 5, 5])
    found = majority(dataset(train, test))
    assert found.target == 2
    np.testing.assert_allclose(found.accuracy, [1 / 2, 2 / 3, np.nan])
    assert found.targets.tolist() == [2, 3, 0]


def test_of_next_words_padding_counts_nowhere_and_an_unknown_word_is_a_miss():
    train = data([[3, 3, IGNORED], [1, UNKNOWN, UNKNOWN]], [0, 1, 2])
    test = data([[3, UNKNOWN, IGNORED], [3, 3, 1]], [0, 1, 2])
    found = majority(dataset(train, test))
    assert found.target == 3
    np.testing.assert_allclose(found.accuracy, [1 / 2, 2 / 3])
    assert found.targets.tolist() == [2, 3]


def test_of_equally_frequent_targets_the_smallest():
    assert majority(dataset(data([3, 1], [0, 2]), data([1], [0, 1]))).target == 1


def test_a_million_clients_take_no_loop():
    count = 10**6
    labels = np.arange(count, dtype=np.int32) % 3
    part = ClientData(np.zeros((count, 1), np.float32), labels, np.arange(count + 1), 3)
    found = majority(FederatedDataset(part, part, part, ("a",) * count))
    assert found.accuracy.mean() == np.mean(labels == 0)
