"""Statistics of synthetic titles, and that the next word can be learned."""

import functools

import jax
import numpy as np
import pytest

from hasa_jax import IGNORED, UserError
from hasa_jax.datasets import fingerprint, synthetic_titles
from tests.support.federated import divergence, parts


@functools.cache
def build(**arguments):
    return synthetic_titles(jax.random.key(0), **arguments)


def word_counts(data):
    """Known training targets of each client `[N, K]`."""
    counts = np.zeros((data.num_clients, data.num_classes))
    for own, start, stop in zip(counts, data.offsets[:-1], data.offsets[1:], strict=True):
        targets = data.targets[start:stop]
        np.add.at(own, targets[targets >= 0], 1)
    return counts


def num_examples(data):
    return sum(part.num_examples for part in parts(data))


def test_clients_have_their_proportions():
    data = build()
    counts = num_examples(data)
    assert counts.sum() == 2000
    assert len(set(data.client_names)) == 7
    np.testing.assert_array_equal(counts[1:], [448, 239, 170, 123, 74, 10])


@pytest.mark.parametrize("num_titles", [200, 997, 6508])
def test_number_of_titles(num_titles):
    counts = num_examples(build(num_titles=num_titles))
    assert counts.sum() == num_titles
    assert counts.min() >= 10
    assert (np.diff(counts) <= 0).all()


def test_lengths_are_like_those_of_article_titles():
    words = (build(num_titles=1000, max_length=30).train.targets != IGNORED).sum(-1) + 1
    assert words.min() == 3
    assert 15 < words.max() <= 22
    assert abs(words.mean() - 7.9) < 0.3


def test_heterogeneity_sets_how_far_clients_differ():
    # The four largest clients have enough words.
    differences = [
        divergence(word_counts(build(heterogeneity=h).train)[:4]) for h in (0.0, 0.5, 0.75, 1.0)
    ]
    assert (np.diff(differences) > 0).all()
    assert differences[0] < 0.1
    assert differences[-1] > 0.4


def test_the_most_frequent_word_is_a_poor_guess():
    data = build(heterogeneity=0.5)
    train, test = (part.targets[part.targets != IGNORED] for part in (data.train, data.test))
    guess = np.bincount(train[train >= 0]).argmax()
    assert (test == guess).mean() < 0.08


def test_the_next_word_can_be_learned():
    data = build()
    size = data.train.num_classes + 2
    pairs = np.zeros((size, size))
    np.add.at(pairs, (data.train.inputs, data.train.targets + 2), 1)
    guess = pairs[:, 2:].argmax(-1)[data.test.inputs]
    targets = data.test.targets
    assert (guess == targets)[targets != IGNORED].mean() > 0.2


def test_topics_have_different_next_words():
    data = build(heterogeneity=1.0).train
    size = data.num_classes + 2
    pairs = np.zeros((2, size, size))
    for client in range(2):
        own = slice(data.offsets[client], data.offsets[client + 1])
        np.add.at(pairs[client], (data.inputs[own], data.targets[own] + 2), 1)
    pairs = pairs[:, 2:, 2:]
    shared = (pairs.sum(-1) >= 20).all(0)
    assert shared.sum() >= 10
    first, second = pairs[:, shared].argmax(-1)
    assert (first != second).mean() > 0.7


def test_every_argument_changes_the_bytes():
    different = ({}, {"heterogeneity": 0.6}, {"min_count": 3})
    assert len({fingerprint(build(num_titles=300, **others)) for others in different}) == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_titles": 199}, "`num_titles` is 199"),
        ({"heterogeneity": -0.1}, "`heterogeneity` is -0.1"),
        ({"heterogeneity": 1.1}, "`heterogeneity` is 1.1"),
        ({"heterogeneity": float("nan")}, "`heterogeneity` is nan"),
        ({"max_length": 0}, "`max_length` is 0"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        build(**arguments)
