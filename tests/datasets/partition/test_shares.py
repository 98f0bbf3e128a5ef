import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hasa_jax.datasets.partition.shares import counts_of_shares, with_minimum


@given(st.lists(st.floats(0.01, 1.0), min_size=1, max_size=20), st.integers(0, 1000))
def test_counts_add_up_and_are_near_the_shares(shares, total):
    shares = np.array(shares)
    counts = counts_of_shares(shares, total)
    assert counts.sum() == total
    assert np.abs(counts - shares / shares.sum() * total).max() < 1 + 1e-9


def test_the_minimum_is_taken_from_the_largest_clients():
    parts = [np.arange(50), np.arange(50, 52), np.array([], int)]
    parts = with_minimum(parts, 10, np.random.default_rng(0))
    assert min(map(len, parts)) == 10
    assert np.array_equal(np.sort(np.concatenate(parts)), np.arange(52))


def one_by_one(parts, least, generator):
    """Moves examples from the first of the largest clients to the first of the smallest."""
    parts = [generator.permutation(part) for part in parts]
    while min(map(len, parts)) < least:
        sizes = np.array([len(part) for part in parts])
        small, large = int(sizes.argmin()), int(sizes.argmax())
        moved = min(least - sizes[small], max(1, (sizes[large] - least) // 2))
        parts[small] = np.concatenate([parts[small], parts[large][:moved]])
        parts[large] = parts[large][moved:]
    return [np.sort(part) for part in parts]


@given(st.lists(st.integers(0, 30), min_size=2, max_size=40), st.integers(1, 12))
def test_many_small_clients_get_what_they_get_one_by_one(sizes, least):
    least = min(least, sum(sizes) // len(sizes))
    parts = np.split(np.arange(sum(sizes)), np.cumsum(sizes)[:-1])
    found, expected = (
        take(parts, least, np.random.default_rng(0)) for take in (with_minimum, one_by_one)
    )
    for own, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(own, other)
