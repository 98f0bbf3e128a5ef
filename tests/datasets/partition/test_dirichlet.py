import numpy as np
import pytest

from hasa_jax.datasets.partition.dirichlet import dirichlet
from hasa_jax.datasets.partition.shares import counts_of_shares, draw_shares, with_minimum
from tests.support.labels import label_counts, labels_of, partition


def divergence(name, **options):
    """Mean total variation between the clients' label distributions and that of all examples."""
    labels = labels_of(3, 3000)
    counts = label_counts(labels, partition(name, labels, **options))
    own = counts / counts.sum(axis=1, keepdims=True)
    return np.abs(own - counts.sum(axis=0) / counts.sum()).sum(axis=1).mean() / 2


@pytest.mark.parametrize("name", ["dirichlet", "balanced_dirichlet"])
def test_alpha_sets_how_far_clients_differ(name):
    far, middle, near = (divergence(name, alpha=alpha) for alpha in (0.05, 0.5, 500.0))
    assert far > middle + 0.05 > near + 0.2
    assert near < 0.06
    assert divergence("iid") < 0.06


@pytest.mark.parametrize("name", ["dirichlet", "balanced_dirichlet"])
def test_an_alpha_near_0_works(name):
    parts = partition(name, labels_of(0), alpha=1e-9, min_examples=3)
    assert len(np.concatenate(parts)) == 900


def test_classes_are_dealt_out_one_after_the_other():
    """The shares of a class decide how many of its permuted examples each client gets."""
    labels, generator = labels_of(3, 3000), np.random.default_rng(5)
    parts = [[] for _ in range(40)]
    for label in np.unique(labels.targets):
        indices = generator.permutation(np.flatnonzero(labels.targets == label))
        shares = draw_shares(generator, 40, 0.3)
        ends = np.cumsum(counts_of_shares(shares, len(indices)))[:-1]
        for own, part in zip(parts, np.split(indices, ends), strict=True):
            own.append(part)
    expected = with_minimum([np.concatenate(own) for own in parts], 10, generator)
    found = dirichlet(labels, 40, np.random.default_rng(5), alpha=0.3)
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)
