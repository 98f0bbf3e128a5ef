"""What every score of the table promises."""

import jax
import numpy as np
import pytest

import hasa_jax as hj
from tests.support import small

KEY = jax.random.key(2)


def score(name, data, model=None):
    return hj.SCORES[name]()(data, model or small.lstm(), KEY)


@pytest.fixture
def data():
    return small.client_data(kind="lstm")


@pytest.mark.parametrize("name", sorted(hj.SCORES))
def test_finite_and_one_a_client(name, data):
    scores = score(name, data)
    assert scores.shape == (data.num_clients,)
    assert np.isfinite(scores).all()
    assert np.ptp(scores) > 0


@pytest.mark.parametrize("name", sorted(hj.SCORES))
def test_padding_does_not_count(name, data):
    pad = ((0, 0), (0, 3))
    padded = data.replace(
        inputs=np.pad(data.inputs, pad),
        targets=np.pad(data.targets, pad, constant_values=hj.IGNORED),
    )
    model = hj.from_linen(small.LSTM(7, 5, 4, 16), padded.inputs[:1])
    np.testing.assert_allclose(score(name, padded, model), score(name, data), rtol=1e-5)


@pytest.mark.parametrize("name", sorted(hj.SCORES))
def test_permuting_the_clients_permutes_the_scores(name, data):
    order = np.array([2, 0, 3, 1])
    rows = np.concatenate([np.arange(data.offsets[i], data.offsets[i + 1]) for i in order])
    offsets = np.cumsum([0, *data.num_examples[order]]).astype(np.int32)
    permuted = data.replace(inputs=data.inputs[rows], targets=data.targets[rows], offsets=offsets)
    np.testing.assert_allclose(score(name, permuted), score(name, data)[order], rtol=1e-5)


@pytest.mark.parametrize("name", sorted(hj.SCORES))
def test_a_client_of_unknown_words_only_has_a_score(name, data):
    targets = np.array(data.targets)
    targets[: data.offsets[1]] = hj.UNKNOWN
    assert np.isfinite(score(name, data.replace(targets=targets))).all()


@pytest.mark.parametrize("name", sorted(hj.SCORES))
def test_allocation_never_sees_validation_or_test_data(name):
    """Allocation is given the training split alone, so other splits cannot change it."""
    dataset = small.dataset(kind="lstm")
    model = small.lstm()

    def widths(dataset):
        scores = score(name, dataset.train, model)
        return hj.allocate(
            dataset.train, model, policy=hj.POLICIES["hasa"](), scores=scores, key=KEY
        ).widths

    other = hj.FederatedDataset(
        dataset.train, dataset.test, dataset.validation, dataset.client_names
    )
    np.testing.assert_array_equal(widths(dataset), widths(other))


def test_gradient_norm_does_not_depend_on_its_batches(data):
    norms = [hj.SCORES["gradient_norm"](size)(data, small.lstm(), KEY) for size in (3, 64)]
    np.testing.assert_allclose(*norms, rtol=1e-4)


def test_entropy_by_hand():
    data = hj.ClientData(
        np.zeros((6, 1), np.float32), np.array([0, 1, 2, 3, 0, 0]), np.array([0, 4, 6]), 4
    )
    np.testing.assert_allclose(score("entropy", data), [np.log(4), 0.0], atol=1e-12)


def test_divergence_without_smoothing_ignores_scale():
    from hasa_jax.allocation.scores.label_divergence import divergence_of_counts

    counts = np.array([[9, 1, 0], [1, 9, 0], [5, 5, 2]])
    np.testing.assert_allclose(
        divergence_of_counts(counts, 0.0), divergence_of_counts(7 * counts, 0.0)
    )
    assert divergence_of_counts(np.array([[1, 0], [0, 1]]), 0.0).max() < np.log(2)
