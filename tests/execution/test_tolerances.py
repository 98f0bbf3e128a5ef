"""The way a run is computed changes no parameter beyond a stated tolerance."""

import pytest

from tests.support import tolerances


@pytest.mark.slow
@pytest.mark.parametrize("kind", tolerances.KINDS)
def test_no_difference_exceeds_the_tolerance(kind):
    for name, difference in tolerances.differences(kind).items():
        assert difference <= tolerances.TOLERANCES[kind], name
