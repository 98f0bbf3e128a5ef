"""Sizes of fewer exits and fewer units."""

import dataclasses

import pytest

from hasa_jax.base import UserError
from hasa_jax.extraction import depth_width
from tests.support import small


def with_exits(num_exits, **groups):
    """A model of which `depth_width` reads only groups and exits."""
    return dataclasses.replace(small.mlp(**groups), num_exits=num_exits)


@pytest.mark.parametrize(
    ("num_exits", "published"),
    [
        (2, (0.7, 1)),
        (3, (0.7, 0.75, 1)),
        (4, (0.7, 0.7, 0.75, 1)),
        (5, (0.7, 0.775, 0.85, 0.925, 1)),
    ],
)
def test_it_holds_the_published_pairs(num_exits, published):
    model = with_exits(num_exits, first=60, second=40)
    for level, width in enumerate(published, 1):
        shape = depth_width().shape(model, 60 * level // num_exits)
        kept = (("first", int(60 * width + 1e-9)), ("second", int(40 * width + 1e-9)))
        assert shape == (pytest.approx(width), kept, level)


def test_between_levels():
    model = with_exits(2, first=20, second=10)
    # Halfway from level 1, width .4, to level 2, width 1.
    assert depth_width((0.4, 1)).shape(model, 15) == (0.7, (("first", 14), ("second", 7)), 2)
    assert depth_width((0.4, 1)).shape(model, 1) == (0.04, (("first", 1), ("second", 1)), 1)


def test_no_unit_is_lost_to_binary_fractions():
    assert int(100 * 0.29) == 28
    shape = depth_width((0.29, 1)).shape(with_exits(2, first=100), 50)
    assert dict(shape.kept)["first"] == 29
    shape = depth_width((2 / 3, 1)).shape(with_exits(2, first=60), 30)
    assert dict(shape.kept)["first"] == 40


def test_models_that_do_not_fit_are_refused():
    with pytest.raises(UserError, match=r"early exits.* give the model more `exits`"):
        depth_width().shape(small.mlp(), 3)
    with pytest.raises(UserError, match="3 widths but the model has 2 exits"):
        depth_width((0.5, 0.7, 1)).shape(with_exits(2), 3)


@pytest.mark.parametrize("widths", [(), (0, 1), (0.5, 0.9), (0.8, 0.7, 1), (0.5, 1.1)])
def test_widths_that_fall_or_do_not_end_in_one_are_refused(widths):
    with pytest.raises(UserError, match="`widths` at exits"):
        depth_width(widths)
