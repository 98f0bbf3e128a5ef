import numpy as np
import pytest

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
