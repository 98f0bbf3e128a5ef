"""What the texts of invented topics look like, and that their topics can be told."""

import jax
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.datasets import fingerprint, synthetic_topics


def build(seed=0, **arguments):
    return synthetic_topics(jax.random.key(seed), **arguments)


def parts(data):
    return data.train, data.validation, data.test


def histograms(data):
    """Topic counts of each client over all splits `[N, K]`."""
    counts = np.zeros((data.train.num_clients, data.train.num_classes))
    for part in parts(data):
        clients = np.repeat(np.arange(part.num_clients), part.num_examples)
        np.add.at(counts, (clients, part.targets), 1)
    return counts


def entropy(p):
    return -(p * np.log2(np.where(p > 0, p, 1))).sum(-1)


def divergence(data):
    """Jensen-Shannon divergence of the clients' topics, in bits."""
    p = histograms(data)
    p /= p.sum(-1, keepdims=True)
    return entropy(p.mean(0)) - entropy(p).mean()


def bag_of_words_accuracy(data):
    """Accuracy on test texts of naive Bayes over the known words, topics alike beforehand."""
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
    rare = [(build(min_count=n).train.inputs == 1).mean() for n in (1, 2, 40)]
    assert rare[0] == 0
    assert (np.diff(rare) > 0).all()


def test_long_texts_are_cut_off():
    longer, shorter = (build(max_length=n, min_count=1).train for n in (22, 4))
    assert (longer.inputs > 0).sum(-1).min() == 3
    # Frequencies, and so the ids, come from whole texts at any length.
    np.testing.assert_array_equal(longer.inputs[:, :4], shorter.inputs)


def test_clients_are_alike_without_heterogeneity():
    counts = histograms(build(num_titles=20000, heterogeneity=0.0))
    expected = counts.sum(-1, keepdims=True) / 7
    # Pearson's statistic of 60 degrees of freedom: mean 60, deviation 11.
    assert ((counts - expected) ** 2 / expected).sum() < 60 + 4 * 11


def test_heterogeneity_sets_how_far_clients_differ():
    means = [
        np.mean([divergence(build(seed, heterogeneity=h)) for seed in range(3)])
        for h in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    assert (np.diff(means) > 0.05).all()
    assert means[0] < 0.1
    assert means[-1] > 2.5


@pytest.mark.parametrize("heterogeneity", [0.0, 0.5])
def test_topics_can_be_told_by_their_words(heterogeneity):
    accuracies = [
        bag_of_words_accuracy(build(seed, heterogeneity=heterogeneity)) for seed in range(3)
    ]
    # Seven topics; some texts hold nothing but words that all of them use.
    assert 0.6 < np.mean(accuracies) < 0.95


def test_bytes_follow_from_key_and_arguments():
    arguments = {"num_titles": 300}
    different = ({}, {"heterogeneity": 0.6}, {"num_clients": 9}, {"num_topics": 6})
    hashes = [fingerprint(build(0, **arguments, **others)) for others in different]
    assert hashes[0] == fingerprint(build(0, **arguments))
    assert len({*hashes, fingerprint(build(1, **arguments))}) == 5


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"num_titles": 99}, "num_titles is 99: 10 clients need at least 100"),
        ({"num_topics": 1}, "num_topics is 1: it must be at least 2"),
        ({"num_clients": 1}, "num_clients is 1: it must be at least 2"),
        ({"heterogeneity": -0.1}, "heterogeneity is -0.1: it must be between 0 and 1"),
        ({"vocab_size": -1}, "vocab_size is -1: it must be at least 0"),
        ({"min_count": 0}, "min_count is 0: it must be at least 1"),
        ({"min_count": 10**6}, "no word occurs 1000000 times"),
        ({"max_length": 0}, "max_length is 0: it must be at least 1"),
    ],
)
def test_argument_errors(arguments, message):
    with pytest.raises(UserError, match=message):
        build(**arguments)
