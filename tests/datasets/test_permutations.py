"""Permutations of all clients at once are those of each client's own generator."""

import jax
import numpy as np
import pytest

from hasa_jax import keys
from hasa_jax.datasets import permutations
from hasa_jax.datasets.splits import marks_of, split

KEY = jax.random.key(3)


def expected(count, client, key=KEY):
    return keys.generator(keys.address(key, keys.Stream.SPLIT, client=client)).permutation(count)


def permuted(counts, key):
    blocks = [*permutations.permutations(counts, key, keys.Stream.SPLIT)]
    clients = [client for own, _ in blocks for client in range(len(counts))[own]]
    assert clients == [*range(len(counts))]
    return np.concatenate([values for _, values in blocks])


@pytest.mark.parametrize("impl", ["threefry2x32", "rbg"])
@pytest.mark.parametrize("few", [0, 10**6])
def test_every_client_has_its_own_permutation(monkeypatch, few, impl):
    monkeypatch.setattr(permutations, "_FEW", few)
    monkeypatch.setattr(permutations, "_BLOCK", 16)
    key = jax.random.key(3, impl=impl)
    counts = np.random.default_rng(0).integers(1, 300, 60)
    found = permuted(counts, key)
    parts = np.split(found, np.cumsum(counts)[:-1])
    for client, part in enumerate(parts):
        np.testing.assert_array_equal(part, expected(counts[client], client, key))


def test_numpy_permutes_as_it_is_done_here():
    """A release of NumPy that fails this is slower for many clients, but gives its own numbers."""
    assert permutations._is_known()


def test_other_permutations_of_numpy_are_asked_for(monkeypatch):
    monkeypatch.setattr(permutations, "_FEW", 0)
    monkeypatch.setattr(permutations, "_BLOCK", 16)
    monkeypatch.setattr(permutations, "_is_known", lambda: False)
    found = permuted(np.array([9, 5]), KEY)
    np.testing.assert_array_equal(found, [*expected(9, 0), *expected(5, 1)])


def test_a_client_with_too_few_words_is_asked_by_itself(monkeypatch):
    """Eight words are enough for some clients; it is known for which, and all are right."""
    philox = permutations._philox
    monkeypatch.setattr(permutations, "_philox", lambda seeds, blocks: philox(seeds, 1))
    words, counts = np.arange(80, dtype=np.uint32).reshape(40, 2), np.full(40, 8)
    values, enough = permutations._permuted(counts, words)
    assert 0 < enough.sum() < 40
    for own, client in zip(values.reshape(40, 8)[enough], words[enough], strict=True):
        np.testing.assert_array_equal(own, permutations._generator(client).permutation(8))
    monkeypatch.setattr(permutations, "_FEW", 0)
    found = permuted(counts, KEY).reshape(40, 8)
    np.testing.assert_array_equal(found, [expected(8, client) for client in range(40)])


@pytest.mark.parametrize("test", [True, False])
def test_marks_are_the_splits_of_each_client(test):
    counts = np.array([3, 5, 10, 15, 25, 35, 101])
    marks = np.split(marks_of(counts, KEY, test=test), np.cumsum(counts)[:-1])
    for client, (count, own) in enumerate(zip(counts.tolist(), marks, strict=True)):
        key = keys.address(KEY, keys.Stream.SPLIT, client=client)
        train, validation, tested = split(count, key)
        np.testing.assert_array_equal(np.flatnonzero(own == 1), validation)
        if test:
            np.testing.assert_array_equal(np.flatnonzero(own == 2), tested)
            np.testing.assert_array_equal(np.flatnonzero(own == 0), train)
        else:
            assert (own < 2).all()
