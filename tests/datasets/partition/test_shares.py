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
