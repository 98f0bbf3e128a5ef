"""A run that is killed and started again is the run; `tests.support.soak` kills it 50 times."""

import pytest

from tests.support.soak import soak


@pytest.mark.slow
def test_five_kills_change_no_byte():
    kills, writing, ended, equal = soak(5, seed=1)
    assert kills == 5
    assert writing == 2
    assert equal == ended >= 1
