import jax
import numpy as np
import pytest

from hasa_jax.base import IGNORED, UserError
from hasa_jax.datasets.fingerprint import fingerprint
from hasa_jax.datasets.synthetic_titles import synthetic_titles


def histograms(data):
    """Frequencies of the known training targets of each client `[N, K]`."""
    counts = np.zeros((data.num_clients, data.num_classes))
    for row, start, stop in zip(counts, data.offsets[:-1], data.offsets[1:], strict=True):
        targets = data.targets[start:stop]
        np.add.at(row, targets[targets >= 0], 1)
    return counts / counts.sum(-1, keepdims=True)


def entropy(p):
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)


def divergence(seed, heterogeneity):
    """Mean Jensen-Shannon divergence of the four largest clients from their mean, in bits."""
    data = synthetic_titles(jax.random.key(seed), heterogeneity=heterogeneity)
    p = histograms(data.train)[:4]
    return entropy(p.mean(0)) - entropy(p).mean()


def num_examples(data):
    return sum(part.num_examples for part in (data.train, data.validation, data.test))


def test_clients_keep_their_proportions():
    data = synthetic_titles(jax.random.key(0))
    counts = num_examples(data)
    assert counts.sum() == 2000
    assert len(set(data.client_names)) == 7
    np.testing.assert_array_equal(counts[1:], [448, 239, 170, 123, 74, 10])


@pytest.mark.parametrize("num_titles", [200, 997, 6508])
def test_number_of_titles(num_titles):
    counts = num_examples(synthetic_titles(jax.random.key(0), num_titles=num_titles))
    assert counts.sum() == num_titles
    assert counts.min() >= 10
    assert (np.diff(counts) <= 0).all()


def test_lengths_are_like_those_of_article_titles():
    data = synthetic_titles(jax.random.key(0), max_length=30)
    words = (data.train.targets != IGNORED).sum(-1) + 1
    assert words.min() == 3
    assert 15 < words.max() <= 22
    assert abs(words.mean() - 7.9) < 0.3


def test_heterogeneity_sets_how_far_clients_differ():
    means = [
        np.mean([divergence(seed, heterogeneity) for seed in range(3)])
        for heterogeneity in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert (np.diff(means) > 0).all()
    assert means[0] < 0.1
    assert means[-1] > 0.4


def test_the_most_frequent_word_is_a_poor_guess():
    for seed in range(3):
        data = synthetic_titles(jax.random.key(seed))
        train, test = (part.targets[part.targets != IGNORED] for part in (data.train, data.test))
        guess = np.bincount(train[train >= 0]).argmax()
        assert (test == guess).mean() < 0.08


def test_the_next_word_can_be_learned():
    data = synthetic_titles(jax.random.key(0))
    size = data.train.num_classes + 2
    pairs = np.zeros((size, size))
    np.add.at(pairs, (data.train.inputs, data.train.targets + 2), 1)
    guess = pairs[:, 2:].argmax(-1)[data.test.inputs]
    targets = data.test.targets
    assert (guess == targets)[targets != IGNORED].mean() > 0.2


def test_topics_disagree_about_the_next_word():
    data = synthetic_titles(jax.random.key(0), heterogeneity=1.0).train
    size = data.num_classes + 2
    pairs = np.zeros((2, size, size))
    for client in range(2):
        rows = slice(data.offsets[client], data.offsets[client + 1])
        np.add.at(pairs[client], (data.inputs[rows], data.targets[rows] + 2), 1)
    pairs = pairs[:, 2:, 2:]
    shared = (pairs.sum(-1) >= 20).all(0)
    assert shared.sum() >= 10
    first, second = pairs[:, shared].argmax(-1)
    assert (first != second).mean() > 0.7


def test_bytes_follow_from_key_and_arguments():
    def hashed(seed, **arguments):
        return fingerprint(synthetic_titles(jax.random.key(seed), num_titles=300, **arguments))

    assert hashed(0) == hashed(0)
    assert len({hashed(0), hashed(1), hashed(0, heterogeneity=0.6), hashed(0, min_count=3)}) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_titles": 199}, "num_titles is 199"),
        ({"heterogeneity": -0.1}, "heterogeneity is -0.1"),
        ({"heterogeneity": 1.1}, "heterogeneity is 1.1"),
        ({"heterogeneity": float("nan")}, "heterogeneity is nan"),
        ({"max_length": 0}, "max_length is 0"),
    ],
)
def test_argument_errors(arguments, message):
    with pytest.raises(UserError, match=message):
        synthetic_titles(jax.random.key(0), **arguments)
