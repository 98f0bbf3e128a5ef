"""The first units of every group."""

import numpy as np

from hasa_jax.extraction import prefix
from tests.support import small
from tests.support.broadcasts import ranks_of, sent


def test_ranks_are_constant_positions():
    for round in (0, 7):
        ranks = ranks_of(prefix(), sent(small.mlp(), round=round))
        assert {group: rank.tolist() for group, rank in ranks.items()} == {
            "first": list(range(12)),
            "second": list(range(8)),
        }
        # NumPy arrays, so that subnets are cut out as slices.
        assert all(isinstance(rank, np.ndarray) for rank in ranks.values())


def test_it_is_one_extraction():
    assert prefix() == prefix()
