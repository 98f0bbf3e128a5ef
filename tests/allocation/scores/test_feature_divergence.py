"""Feature divergence: equal inputs are no distance apart, shifted ones are."""

import jax
import numpy as np

from hasa_jax.allocation.scores import feature_divergence
from hasa_jax.base import ClientData
from tests.support import small


def scores_of(clients, **options):
    inputs = np.concatenate(clients)
    offsets = np.cumsum([0, *map(len, clients)]).astype(np.int32)
    data = ClientData(inputs, np.zeros(len(inputs), np.int32), offsets, 2)
    return feature_divergence(**options)(data, small.mlp(), jax.random.key(2))


def test_clients_of_the_same_inputs_score_0():
    same = np.random.default_rng(0).normal(size=(40, 4)).astype(np.float32)
    np.testing.assert_allclose(scores_of([same, same], alpha=0.0), 0, atol=1e-12)


def test_a_shifted_client_scores_highest():
    rng = np.random.default_rng(0)
    shifts = (0.0, 0.0, 3.0)
    clients = [rng.normal(shift, 1, (40, 4)).astype(np.float32) for shift in shifts]
    assert np.argmax(scores_of(clients)) == 2
    tokens = [rng.integers(low, low + 5, (40, 6)) for low in (1, 1, 9)]
    assert np.argmax(scores_of(tokens)) == 2
