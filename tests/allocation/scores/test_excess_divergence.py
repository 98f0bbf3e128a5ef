"""Excess divergence: nothing for clients dealt at random, of any size, and something for others."""

import itertools

import jax
import numpy as np
import pytest

from hasa_jax.allocation.scores import excess_divergence, message_bytes
from hasa_jax.allocation.scores.excess_divergence import excess_of
from hasa_jax.allocation.scores.label_divergence import divergence_of_counts
from hasa_jax.base import IGNORED, ClientData, UserError

KEY = jax.random.key(0)
SIZES = (400, 100, 25, 5)


def held(targets, sizes, num_classes):
    offsets = np.cumsum([0, *sizes]).astype(np.int32)
    return ClientData(np.zeros((len(targets), 1), np.float32), targets, offsets, num_classes)


@pytest.mark.parametrize("tokens", [None, 6])
def test_clients_dealt_at_random_have_none_in_expectation_whatever_their_size(tokens):
    rng = np.random.default_rng(0)
    probs = 1 / np.arange(1.0, 41)
    shape = sum(SIZES) if tokens is None else (sum(SIZES), tokens)
    pool = rng.choice(40, size=shape, p=probs / probs.sum()).astype(np.int32)
    dealt = [excess_of(held(rng.permutation(pool), SIZES, 40), KEY, draws=40) for _ in range(60)]
    excess = np.stack([found.excess for found in dealt])
    error = excess.std(0, ddof=1) * np.sqrt(1 / 60 + 1 / 40)
    assert (np.abs(excess.mean(0)) < 4 * error).all()
    # The divergence itself is far from 0, the more so for the smaller.
    divergence = np.mean([found.divergence for found in dealt], axis=0)
    assert (divergence > 10 * error).all()
    assert (np.diff(divergence) > 0).all()


def test_the_expectation_is_that_of_all_subsets():
    targets = np.array([0, 0, 1, 2, 2, 2], np.int32)
    found = excess_of(held(targets, (2, 4), 3), KEY, draws=4000)
    pooled = np.bincount(targets, minlength=3)
    every = []
    for chosen in itertools.combinations(range(6), 2):
        own = np.bincount(targets[list(chosen)], minlength=3)
        every.append(divergence_of_counts(np.stack([own, pooled - own]), 1.0))
    every = np.stack(every)
    np.testing.assert_allclose(found.expected, every.mean(0), rtol=0.03)
    np.testing.assert_allclose(found.deviation, every.std(0), rtol=0.05)
    np.testing.assert_allclose(found.divergence, every[0])
    np.testing.assert_allclose(found.z, found.excess / found.deviation)


def test_words_of_one_example_stay_together():
    """Examples of five equal words differ from the pool by more than five single words do."""
    words = np.repeat(np.arange(8, dtype=np.int32), 50)
    single = excess_of(held(words, (40, 360), 8), KEY)
    repeated = np.repeat(words.reshape(80, 5)[:, :1], 5, axis=1)
    together = excess_of(held(repeated, (8, 72), 8), KEY)
    assert together.expected[0] > 2 * single.expected[0]


def test_a_client_apart_has_an_excess_where_a_smaller_one_of_the_pool_has_none():
    rng = np.random.default_rng(1)
    probs = np.where(np.arange(30) < 15, 1.3, 0.7) / 30
    apart, rest = rng.choice(30, 2000, p=probs), rng.integers(0, 30, 40030)
    data = held(np.concatenate([apart, rest]).astype(np.int32), (2000, 40000, 30), 30)
    found = excess_of(data, KEY)
    assert found.divergence[2] > found.divergence[0]
    assert np.argmax(found.excess) == 0
    assert abs(found.z[2]) < 3 < 10 < found.z[0]


def test_blocks_of_sizes_change_nothing(monkeypatch):
    rng = np.random.default_rng(2)
    data = held(rng.integers(0, 20, 55).astype(np.int32), range(1, 11), 20)
    whole = excess_of(data, KEY, draws=5)
    monkeypatch.setattr("hasa_jax.allocation.scores.counts._COUNTS_OF_A_BLOCK", 20 * 3)
    blocks = excess_of(data, KEY, draws=5)
    np.testing.assert_array_equal(blocks.expected, whole.expected)


def test_clients_send_their_labels():
    targets = np.full((10, 4), IGNORED, np.int32)
    targets[:, :3] = 1
    data = held(targets, (4, 6), 2)
    assert message_bytes(excess_divergence(), data, None) == 4 * (15 + 1)


@pytest.mark.parametrize("draws", [0, 1])
def test_fewer_than_two_draws_are_refused(draws):
    data = held(np.array([0, 1], np.int32), (1, 1), 2)
    for asked in (lambda: excess_divergence(draws=draws), lambda: excess_of(data, KEY, draws)):
        with pytest.raises(UserError, match=f"`draws` is {draws}: it must be at least 2"):
            asked()


def test_a_client_without_examples_is_named():
    data = held(np.array([0, 1, 1], np.int32), (2, 0, 1), 2)
    with pytest.raises(UserError, match=r"1 of 3 clients have no training examples .* client 1"):
        excess_divergence()(data, None, KEY)
