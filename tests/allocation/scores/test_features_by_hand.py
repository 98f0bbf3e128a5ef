"""What feature divergence is, by hand."""

import jax
import numpy as np

from hasa_jax.allocation.scores import feature_divergence
from hasa_jax.allocation.scores.label_divergence import divergence_of_counts
from hasa_jax.base import ClientData

KEY = jax.random.key(0)


def data_of(clients):
    offsets = np.cumsum([0, *map(len, clients)]).astype(np.int32)
    targets = np.zeros(offsets[-1], np.int32)
    return ClientData(np.concatenate(clients), targets, offsets, num_classes=2)


def score(clients, **options):
    return feature_divergence(**options)(data_of(clients), None, KEY)


def test_features_of_equal_distributions_diverge_only_by_chance():
    generator = np.random.default_rng(0)
    clients = [generator.normal(size=(2000, 3, 3, 1)).astype(np.float32) for _ in range(3)]
    alike = score(clients)
    assert alike.max() < 0.01
    clients[1] += 1.5
    other = score(clients)
    assert other.argmax() == 1
    assert other[1] > 5 * alike.max()
    # Nothing depends on labels, or on the unit and origin of the inputs.
    np.testing.assert_allclose(score([4 * client + 7 for client in clients]), other, atol=2e-3)


def test_a_projection_has_the_divergence_of_its_bins():
    """In one dimension a direction only stretches or turns, which bins do not notice."""
    clients = [np.array([[0.0], [1.0]], np.float32), np.array([[2.0], [3.0]], np.float32)]
    expected = divergence_of_counts(np.array([[2, 0], [0, 2]]), 1.0)
    np.testing.assert_allclose(score(clients, num_features=5, bins=2), expected)


def test_features_of_tokens_are_their_counts_without_padding():
    clients = [np.array([[5, 5, 0, 0]], np.int32), np.array([[5, 7, 7, 9]], np.int32)]
    expected = divergence_of_counts(np.array([[2, 0, 0], [1, 2, 1]]), 1.0)
    np.testing.assert_allclose(score(clients), expected)
