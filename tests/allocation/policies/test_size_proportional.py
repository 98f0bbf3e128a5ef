"""Size-proportional allocation by hand."""

import numpy as np

from hasa_jax.allocation.policies import size_proportional
from tests.allocation.clients import KEY, budget_of, stats_of


def test_widths_follow_the_numbers_of_examples():
    widths = size_proportional().widths(stats_of([10, 20]), budget_of(units=100), KEY)
    # q = (1/3, 2/3): s (1/3 * 1/2 + 2/3) = .5 gives s = .6.
    np.testing.assert_allclose(widths, [0.3, 0.6])
