"""A prefix with levels."""

import pytest

from hasa_jax.base import UserError
from hasa_jax.extraction import ordered_dropout, prefix
from tests.support import small
from tests.support.broadcasts import ranks_of, sent


def test_it_is_a_prefix_with_levels():
    model = small.mlp()
    extraction = ordered_dropout(levels=[0.25, 1], teacher=True)
    assert extraction.levels == (0.25, 1.0)
    assert extraction.teacher
    assert not ordered_dropout().teacher
    assert extraction.shape(model, 7) == prefix().shape(model, 7)
    small.assert_trees_equal(ranks_of(extraction, sent(model)), ranks_of(prefix(), sent(model)))


@pytest.mark.parametrize(
    "levels", [(), (0, 1), (0.5, 1.1), (0.5, 0.5), (1, 0.5), (float("nan"), 1)]
)
def test_levels_that_do_not_rise_within_one_are_refused(levels):
    with pytest.raises(UserError, match="`levels` of ordered dropout"):
        ordered_dropout(levels)
