"""Fixed allocation: what it accepts."""

import numpy as np
import pytest

from hasa_jax.allocation.policies import fixed
from hasa_jax.base import UserError
from tests.allocation.clients import KEY, budget_of, stats_of

STATS = stats_of([1, 1])


def test_the_listed_widths_stay():
    np.testing.assert_array_equal(fixed([0.25, 0.5]).widths(STATS, budget_of(), KEY), [0.25, 0.5])


@pytest.mark.parametrize(
    ("widths", "match"),
    [
        ([0.5], "1 listed for 2 clients"),
        ([0.1, 0.5], "outside"),
        ([np.nan, 0.5], "outside"),
        ([0.7, 0.8], "above the budget"),
    ],
)
def test_lists_that_do_not_fit_are_refused(widths, match):
    with pytest.raises(UserError, match=match):
        fixed(widths).widths(STATS, budget_of(), KEY)
