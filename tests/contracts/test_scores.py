"""What every score of the table promises."""

import jax
import numpy as np
import pytest

from hasa_jax.allocation import POLICIES, SCORES, allocate
from hasa_jax.base import IGNORED, UNKNOWN, FederatedDataset
from hasa_jax.models.lstm import LSTM
from hasa_jax.supernet.linen import supernet_of
from tests.support import small

KEY = jax.random.key(2)


def score(name, data, model=None):
    return SCORES[name]()(data, model or small.lstm(), KEY)


@pytest.fixture
def data():
    return small.client_data(kind="lstm")


@pytest.mark.parametrize("name", sorted(SCORES))
def test_finite_and_one_a_client(name, data):
    scores = score(name, data)
    assert scores.shape == (data.num_clients,)
    assert np.isfinite(scores).all()
    assert np.ptp(scores) > 0


@pytest.mark.parametrize("name", sorted(SCORES))
def test_padding_does_not_count(name, data):
    pad = ((0, 0), (0, 3))
    padded = data.replace(
        inputs=np.pad(data.inputs, pad),
        targets=np.pad(data.targets, pad, constant_values=IGNORED),
    )
    module = LSTM(small.NUM_CLASSES + 2, small.NUM_CLASSES, embed=4, hidden=16, layers=1)
    model = supernet_of(module, padded.inputs[:1])
    np.testing.assert_allclose(score(name, padded, model), score(name, data), rtol=1e-5)


@pytest.mark.parametrize("name", sorted(SCORES))
def test_permuting_the_clients_permutes_the_scores(name, data):
    order = np.array([2, 0, 3, 1])
    indices = np.concatenate([np.arange(data.offsets[i], data.offsets[i + 1]) for i in order])
    offsets = np.cumsum([0, *data.num_examples[order]]).astype(np.int32)
    permuted = data.replace(
        inputs=data.inputs[indices], targets=data.targets[indices], offsets=offsets
    )
    np.testing.assert_allclose(score(name, permuted), score(name, data)[order], rtol=1e-5)


@pytest.mark.parametrize("name", sorted(SCORES))
def test_a_client_of_unknown_words_only_has_a_score(name, data):
    targets = np.array(data.targets)
    targets[: data.offsets[1]] = UNKNOWN
    assert np.isfinite(score(name, data.replace(targets=targets))).all()


@pytest.mark.parametrize("name", sorted(SCORES))
def test_allocation_never_sees_validation_or_test_data(name):
    """Scores and allocation take the training split, so other splits cannot change them."""
    dataset = small.dataset(kind="lstm")
    model = small.lstm()

    def widths(dataset):
        scores = score(name, dataset.train, model)
        policy = POLICIES["hasa"]()
        return allocate(dataset.train, model, policy=policy, key=KEY, scores=scores).widths

    other = FederatedDataset(dataset.train, dataset.test, dataset.validation, dataset.client_names)
    np.testing.assert_array_equal(widths(dataset), widths(other))
