"""Rarefied divergence: clients are compared at equally many examples."""

import importlib
import itertools

import jax
import numpy as np
import pytest

from hasa_jax import keys
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


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"draws": 0}, "`draws` is 0: it must be at least 1"),
        ({"num_examples": -1}, "`num_examples` is -1"),
    ],
)
def test_numbers_out_of_range_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        rarefied_divergence(**options)


def test_a_client_without_examples_is_named():
    data = held([0, 1], [], [1, 1, 0], num_classes=2)
    with pytest.raises(UserError, match=r"1 of 3 clients have no training examples .* client 1"):
        rarefied_divergence()(data, None, KEY)


def one_by_one(data, num_examples, draws):
    """Returns the scores as each client computes its own, draw by draw."""
    pooled = smoothed(np.bincount(data.targets[data.targets >= 0], minlength=data.num_classes), 1.0)
    scores = []
    for own in np.split(data.targets, data.offsets[1:-1]):
        own = own[np.lexsort(own.reshape(len(own), -1).T)]
        generator = keys.generator(keys.address(KEY, keys.Stream.SCORE))
        drawn = [own[generator.permutation(len(own))[:num_examples]] for _ in range(draws)]
        counts = [np.bincount(d[d >= 0], minlength=data.num_classes) for d in drawn]
        scores.append(np.mean([jensen_shannon(smoothed(c, 1.0), pooled) for c in counts]))
    return np.array(scores)


@pytest.mark.parametrize("words", [(), (3,)])
@pytest.mark.parametrize("batch", [1, 12, 2**20])
def test_batches_of_clients_have_the_scores_of_each(monkeypatch, words, batch):
    rng = np.random.default_rng(4)
    sizes = (5, 3, 4, 5, 3, 9, 5, 4)
    targets = rng.integers(-1, 6, (sum(sizes), *words)).astype(np.int32)
    offsets = np.cumsum([0, *sizes]).astype(np.int32)
    data = ClientData(np.zeros((len(targets), 1), np.float32), targets, offsets, 6)
    # The package has the function by the name of its module.
    module = importlib.import_module("hasa_jax.allocation.scores.rarefied_divergence")
    monkeypatch.setattr(module, "_EXAMPLES_OF_A_BATCH", batch)
    monkeypatch.setattr("hasa_jax.allocation.scores.counts._COUNTS_OF_A_BLOCK", 6 * 2)
    found = rarefied_divergence(draws=7)(data, None, KEY)
    np.testing.assert_allclose(found, one_by_one(data, 3, 7), rtol=1e-12)


def test_the_order_of_examples_does_not_matter():
    rng = np.random.default_rng(5)
    clients = [rng.integers(0, 6, n) for n in (5, 8, 5)]
    data = held(*clients, num_classes=6)
    other = held(*(rng.permutation(own) for own in clients), num_classes=6)
    score = rarefied_divergence(draws=5)
    np.testing.assert_array_equal(score(data, None, KEY), score(other, None, KEY))
