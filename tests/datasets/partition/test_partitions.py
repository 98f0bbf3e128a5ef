"""What every partition promises, over seeds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hasa_jax import UserError
from hasa_jax.datasets.partition import PARTITIONS
from tests.support.labels import labels_of, partition

RANDOM = sorted(set(PARTITIONS) - {"natural"})
COUNT = 300


@pytest.mark.parametrize("name", sorted(PARTITIONS))
@given(seed=st.integers(0, 10**6))
@settings(max_examples=15)
def test_every_example_has_one_client_and_every_client_has_enough(name, seed):
    labels = labels_of(seed, COUNT)
    parts = partition(name, labels, seed=seed, min_examples=7)
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(COUNT))
    assert min(map(len, parts)) >= 7
    assert all((np.diff(part) > 0).all() for part in parts)
    for one, other in zip(parts, partition(name, labels, seed=seed, min_examples=7), strict=True):
        assert np.array_equal(one, other)


@pytest.mark.parametrize("name", RANDOM)
def test_another_seed_gives_another_partition(name):
    labels = labels_of(0)
    pairs = zip(partition(name, labels, seed=1), partition(name, labels, seed=2), strict=True)
    assert any(not np.array_equal(one, other) for one, other in pairs)


@pytest.mark.parametrize("name", RANDOM)
def test_too_few_examples_or_clients_are_refused(name):
    with pytest.raises(UserError, match="examples"):
        partition(name, labels_of(0), min_examples=76)
    with pytest.raises(UserError, match=r"`num_clients` is 1"):
        partition(name, labels_of(0), num_clients=1)


@pytest.mark.parametrize("name", ["balanced_dirichlet", "dirichlet", "quantity"])
def test_alpha_out_of_range_is_refused(name):
    for alpha in (0.0, -1.0, float("nan"), float("inf"), 1e308):
        with pytest.raises(UserError, match="`alpha` is"):
            partition(name, labels_of(0), alpha=alpha)


@pytest.mark.parametrize("name", ["iid", "balanced_dirichlet"])
def test_equal_sizes(name):
    sizes = [len(part) for part in partition(name, labels_of(0), num_clients=7)]
    assert max(sizes) - min(sizes) <= 1
