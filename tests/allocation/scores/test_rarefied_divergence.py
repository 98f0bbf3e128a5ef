"""Rarefied divergence: clients are compared at equally many examples."""

import itertools

import jax
import numpy as np
import pytest

from hasa_jax.allocation.scores import rarefied_divergence
from hasa_jax.allocation.scores.counts import smoothed
from hasa_jax.allocation.scores.label_divergence import jensen_shannon, label_divergence
from hasa_jax.base import ClientData, UserError

KEY = jax.random.key(0)


def held(*clients, num_classes):
    targets = np.concatenate(clients).astype(np.int32)
    offsets = np.cumsum([0, *map(len, clients)]).astype(np.int32)
    return ClientData(np.zeros((len(targets), 1), np.float32), targets, offsets, num_classes)


def test_it_is_the_mean_over_all_subsets_of_one_size():
    clients = ([0, 0, 1, 2], [2, 2, 1])
    data = held(*clients, num_classes=3)
    found = rarefied_divergence(num_examples=2, draws=3000)(data, None, KEY)
    pooled = smoothed(np.bincount([0, 0, 1, 2, 2, 2, 1], minlength=3), 1.0)
    for score, own in zip(found, clients, strict=True):
        subsets = [np.bincount(c, minlength=3) for c in itertools.combinations(own, 2)]
        expected = np.mean([jensen_shannon(smoothed(c, 1.0), pooled) for c in subsets])
        np.testing.assert_allclose(score, expected, rtol=0.03)


def test_a_client_of_exactly_so_many_examples_has_hasas_score():
    rng = np.random.default_rng(0)
    data = held(rng.integers(0, 9, 12), rng.integers(0, 9, 40), num_classes=9)
    found = rarefied_divergence()(data, None, KEY)
    np.testing.assert_allclose(found[0], label_divergence()(data, None, KEY)[0])


def test_the_size_of_a_client_does_not_decide():
    """Labels of one distribution: HASA's score is ten times as large for the small client."""
    rng = np.random.default_rng(3)
    data = held(rng.integers(0, 20, 20), rng.integers(0, 20, 4000), num_classes=20)
    by_size, rarefied = (
        score()(data, None, KEY) for score in (label_divergence, rarefied_divergence)
    )
    assert by_size[0] > 10 * by_size[1]
    assert 0.5 < rarefied[0] / rarefied[1] < 2


def test_more_examples_than_the_smallest_client_has_are_refused():
    data = held([0, 1], [1, 1, 0], num_classes=2)
    with pytest.raises(UserError, match="smallest client has 2"):
        rarefied_divergence(num_examples=3)(data, None, KEY)
