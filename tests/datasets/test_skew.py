"""Sizes and label distributions of clients."""

import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets.skew import client_sizes, label_mixtures


def mixtures(heterogeneity, num_clients=10, num_classes=10, seed=0):
    generator = np.random.default_rng(seed)
    return label_mixtures(num_clients, num_classes, heterogeneity, generator)


def test_sizes_by_hand():
    # 90 above the minimum: 49.1, 24.5 and 16.4; the largest client gets the rest of rounding.
    assert client_sizes(3, num_images=120) == [60, 34, 26]
    assert client_sizes(4, num_images=40) == [10, 10, 10, 10]


def test_sizes_fall_and_add_up():
    for total in (500, 997, 60000):
        sizes = client_sizes(50, num_images=total)
        assert sum(sizes) == total
        assert min(sizes) >= 10
        assert sizes == sorted(sizes, reverse=True)


def test_too_few_examples_or_clients_are_refused():
    with pytest.raises(UserError, match="`num_titles` is 99: 10 clients need at least 100"):
        client_sizes(10, num_titles=99)
    with pytest.raises(UserError, match="`num_clients` is 1"):
        client_sizes(1, num_titles=99)


def test_mixtures_are_distributions():
    for heterogeneity in (0.0, 1e-300, 1e-6, 0.01, 0.5, 0.99, 1 - 1e-15, 1.0):
        mixture = mixtures(heterogeneity)
        assert (mixture >= 0).all()
        np.testing.assert_allclose(mixture.sum(-1), 1.0)


def test_the_ends_of_heterogeneity():
    np.testing.assert_array_equal(mixtures(0.0), np.full((10, 10), 0.1))
    one = mixtures(1.0)
    np.testing.assert_array_equal(np.sort(one, -1)[:, -1], 1.0)
    np.testing.assert_array_equal(one.sum(0), 1.0)


@pytest.mark.parametrize("heterogeneity", [0.2, 0.5, 0.8])
def test_examples_of_a_client_have_one_class_with_the_documented_probability(heterogeneity):
    share = (mixtures(heterogeneity, num_clients=10000) ** 2).sum(-1).mean()
    assert share == pytest.approx(0.1 + 0.9 * heterogeneity**2, rel=0.02)


@pytest.mark.parametrize("heterogeneity", [0.1, 0.5, 1.0])
def test_clients_take_turns_in_their_most_frequent_class(heterogeneity):
    home = mixtures(heterogeneity, num_clients=12, num_classes=5).argmax(-1)
    assert sorted(home[:5]) == list(range(5))
    np.testing.assert_array_equal(home[5:10], home[:5])
    np.testing.assert_array_equal(home[10:], home[:2])


@pytest.mark.parametrize("heterogeneity", [-0.1, 1.1, float("nan")])
def test_heterogeneity_out_of_range_is_refused(heterogeneity):
    expected = f"`heterogeneity` is {heterogeneity}: .* between 0 and 1"
    with pytest.raises(UserError, match=expected):
        mixtures(heterogeneity)
