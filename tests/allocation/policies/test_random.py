"""Random allocation: what it depends on."""

import jax
import numpy as np

from hasa_jax.allocation.policies import random
from tests.allocation.clients import budget_of, stats_of

SIZES = [3041, 1461, 778, 555, 403, 242, 28]


def test_widths_depend_on_the_key_only():
    stats = stats_of(SIZES)
    widths = [random().widths(stats, budget_of(), jax.random.key(seed)) for seed in range(3)]
    assert not np.array_equal(widths[0], widths[1])
    rescored = stats_of(SIZES, scores=stats.scores[::-1])
    np.testing.assert_array_equal(
        widths[0], random().widths(rescored, budget_of(), jax.random.key(0))
    )
