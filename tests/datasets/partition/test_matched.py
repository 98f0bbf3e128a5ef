import dataclasses

import numpy as np

from hasa_jax.datasets.partition.labels import Labels
from hasa_jax.datasets.partition.matched import matched
from tests.support.labels import equal_labels, label_counts, labels_of, partition


def test_tests_follow_the_training_labels():
    labels = labels_of(2, 6000)
    assigned = partition("dirichlet", labels, alpha=0.3)
    counts, owners = label_counts(labels, assigned), np.empty(6000, int)
    for client, part in enumerate(assigned):
        owners[part] = client
    train = dataclasses.replace(labels, groups=np.zeros(6000, int))
    test = equal_labels(1200)
    parts = matched(train, owners, test, 12, np.random.default_rng(0))
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(1200))
    expected = 200 * counts / np.maximum(counts.sum(axis=0), 1)
    assert np.abs(label_counts(test, parts) - expected).max() <= 2


def test_tests_that_no_client_trains_for_stay_in_their_group():
    """North is clients 0 and 1, by 3 to 1; no client has its class 2, and none has the west."""
    groups = ("north", "south", "west")
    train = Labels(np.array([0, 1, 0, 1, 2]), np.array([0, 0, 0, 0, 1]), groups)
    owners = np.array([0, 0, 0, 1, 2])
    test = Labels(np.array([2] * 8 + [0] * 6), np.array([0] * 8 + [2] * 6), groups)
    parts = matched(train, owners, test, 3, np.random.default_rng(0))
    counts = [np.bincount(test.groups[part], minlength=3).tolist() for part in parts]
    assert counts == [[6, 0, 2], [2, 0, 2], [0, 0, 2]]
