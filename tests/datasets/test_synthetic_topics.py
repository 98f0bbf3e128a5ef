"""Statistics of synthetic topics, and that the topics can be learned."""

import functools

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import fingerprint, synthetic_topics
from tests.support.federated import divergence, histograms, parts


@functools.cache
def build(seed=0, **arguments):
    return synthetic_topics(jax.random.key(seed), **arguments)


def bag_of_words_accuracy(data):
    """Accuracy on test texts of naive Bayes over the known words, with equal prior of topics."""
    counts = np.ones((data.train.num_classes, data.num_tokens))
    np.add.at(counts, (data.train.targets[:, None], data.train.inputs), 1)
    counts[:, :2] = 0
    evidence = np.zeros_like(counts)
    evidence[:, 2:] = np.log(counts[:, 2:] / counts.sum(-1, keepdims=True))
    guess = evidence[:, data.test.inputs].sum(-1).argmax(0)
    return (guess == data.test.targets).mean()


def test_shapes_and_sizes():
    data = build(num_titles=230, num_topics=3, num_clients=3, max_length=5, vocab_size=20)
    assert data.train.inputs.shape[1:] == (5,)
    assert data.train.targets.ndim == 1
    assert data.train.num_classes == 3
    assert data.num_tokens == 22
    assert data.client_names == ("client_0", "client_1", "client_2")
    # 200 above ten each: 109.1, 54.5 and 36.4.
    np.testing.assert_array_equal(sum(part.num_examples for part in parts(data)), [120, 64, 46])


def test_frequent_words_have_small_ids():
    data = build(max_length=22)  # Nothing is cut off.
    ids = data.train.inputs
    counts = np.bincount(ids[ids >= 2], minlength=data.num_tokens)[2:]
    assert counts.min() >= 2
    assert (np.diff(counts) <= 0).all()


def test_rare_words_are_out_of_vocabulary():
    rare = [(build(num_titles=500, min_count=n).train.inputs == 1).mean() for n in (1, 2, 40)]
    assert rare[0] == 0
    assert (np.diff(rare) > 0).all()


def test_long_texts_are_cut_off():
    longer, shorter = (build(num_titles=500, max_length=n, min_count=1).train for n in (22, 4))
    assert (longer.inputs > 0).sum(-1).min() == 3
    # Frequencies, and so the ids, come from full texts at any length.
    np.testing.assert_array_equal(longer.inputs[:, :4], shorter.inputs)


def test_clients_are_alike_without_heterogeneity():
    counts = histograms(build(num_titles=6000, heterogeneity=0.0))
    expected = counts.sum(-1, keepdims=True) / 7
    # Pearson's statistic of 60 degrees of freedom: mean 60, deviation 11.
    assert ((counts - expected) ** 2 / expected).sum() < 60 + 4 * 11


def test_heterogeneity_sets_how_far_clients_differ():
    differences = [divergence(histograms(build(heterogeneity=h))) for h in (0.0, 0.5, 0.75, 1.0)]
    assert (np.diff(differences) > 0.05).all()
    assert differences[0] < 0.1
    assert differences[-1] > 2.5


@pytest.mark.parametrize("heterogeneity", [0.0, 0.5])
def test_topics_can_be_learned_from_words(heterogeneity):
    # Seven topics; some texts have only words that all topics use.
    assert 0.6 < bag_of_words_accuracy(build(heterogeneity=heterogeneity)) < 0.95


def test_every_argument_changes_the_bytes():
    arguments = {"num_titles": 300}
    different = ({}, {"heterogeneity": 0.6}, {"num_clients": 9}, {"num_topics": 6})
    assert len({fingerprint(build(0, **arguments, **others)) for others in different}) == 4


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_titles": 99}, "`num_titles` is 99: 10 clients need at least 100"),
        ({"num_topics": 1}, "`num_topics` is 1: it must be at least 2"),
        ({"num_clients": 1}, "`num_clients` is 1: it must be at least 2"),
        ({"heterogeneity": -0.1}, "`heterogeneity` is -0.1: it must be between 0 and 1"),
        ({"vocab_size": -1}, "`vocab_size` is -1: it must be at least 0"),
        ({"min_count": 0}, "`min_count` is 0: it must be at least 1"),
        ({"num_titles": 300, "min_count": 10**6}, "no word occurs 1000000 times"),
        ({"max_length": 0}, "`max_length` is 0: it must be at least 1"),
    ],
)
def test_wrong_arguments_are_refused(arguments, message):
    with pytest.raises(UserError, match=message):
        build(**arguments)
