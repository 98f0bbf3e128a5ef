"""Masks, gathers and scatters of subnets."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Drawn
from tests.support import small

RANKS = {"first": np.array([3, 0, 7, 1, 9, 5, 2, 11, 4, 10, 6, 8]), "second": np.arange(8)[::-1]}
KEPT = {"first": 5, "second": 3}


@pytest.fixture
def model():
    return small.mlp()


@pytest.fixture
def params(model):
    return model.init(jax.random.key(0))


def test_groups_are_read_off_the_parameters(model):
    assert model.groups == {"first": 12, "second": 8}


def test_groups_refuse_unequal_axes_of_one_name():
    with pytest.raises(UserError, match="unit group 'h'"):
        units.read_groups({"a": np.zeros((2,)), "b": np.zeros((3,))}, {"a": ("h",), "b": ("h",)})


def test_groups_refuse_a_missing_name():
    with pytest.raises(UserError, match="parameter a has 2 axes but 1"):
        units.read_groups({"a": np.zeros((2, 3))}, {"a": ("h",)})


def test_masks_by_hand():
    axes = {"w": (None, "h"), "b": ("h",), "free": (None,)}
    shapes = {"w": np.zeros((2, 3)), "b": np.zeros(3), "free": np.zeros(4)}
    masks = units.masks(shapes, axes, {"h": jnp.array([2, 0, 1])}, {"h": 2})
    np.testing.assert_array_equal(masks["w"], [[0, 1, 1]])
    np.testing.assert_array_equal(masks["b"], [0, 1, 1])
    np.testing.assert_array_equal(masks["free"], [1])


def test_gather_takes_units_in_rank_order(model, params):
    narrow = units.gather(params, model.axes, RANKS, KEPT)
    first, second = [1, 3, 6, 0, 8], [7, 6, 5]
    expected = np.asarray(params["Dense_1"]["kernel"])[np.ix_(first, second)]
    np.testing.assert_array_equal(narrow["Dense_1"]["kernel"], expected)


def test_extract_then_insert_is_identity_inside_and_zero_outside(model, params):
    narrow = units.gather(params, model.axes, RANKS, KEPT)
    back = units.scatter(narrow, model.axes, RANKS)
    masks = units.masks(model.shapes, model.axes, RANKS, KEPT)
    small.assert_trees_equal(back, jax.tree.map(lambda p, m: p * m, params, masks))


@pytest.mark.parametrize("groups", [{"h": 100}, {"a": 64, "b": 512}, {"a": 13, "b": 62}])
def test_every_size_keeps_from_one_unit_to_all(groups):
    sizes = range(1, max(groups.values()) + 1)
    kept = [units.kept_of_size(groups, size) for size in sizes]
    assert min(kept[0].values()) >= 1
    assert kept[-1] == groups
    for narrow, wide in itertools.pairwise(kept):
        assert all(narrow[name] <= wide[name] for name in groups)


def test_units_are_rounded_up_without_binary_fractions():
    # Test vector I: ceil(64 w) and ceil(512 w) of FjORD's widths, and ceil(100 * .55) = 55.
    for count, expected in ((64, [13, 26, 39, 52]), (512, [103, 205, 308, 410])):
        groups = {"h": count, "grid": 5000}
        found = [units.kept_of_size(groups, size)["h"] for size in range(1000, 5000, 1000)]
        assert found == expected
    assert units.kept_of_size({"h": 100, "grid": 1000}, 550)["h"] == 55


def test_widths_and_sizes(model):
    assert units.by_width(model, 5) == (5 / 12, (("first", 5), ("second", 4)), 1)
    assert float(units.width_of(model, {"first": 3, "second": 8})) == 0.25
    # .25 of 12 units are exactly 3, .26 need a fourth, and no client has none.
    assert [units.size_of_width(model, width) for width in (1e-6, 0.25, 0.26, 1)] == [1, 3, 4, 12]
    assert units.size_of_width(small.mlp(first=100), 0.55) == 55


def test_a_published_width_is_rounded_up_in_each_group():
    """Test vector I: of 96 units .2 keeps 20, and of 64 units 13, not ceil(64 * 20 / 96) = 14."""
    model = small.mlp(first=96, second=64)
    levels = (0.2, 0.4, 0.6, 0.8, 1.0)
    kept = [dict(units.by_width(model, size, levels).kept) for size in (20, 39, 58, 77, 96)]
    assert [own["first"] for own in kept] == [20, 39, 58, 77, 96]
    assert [own["second"] for own in kept] == [13, 26, 39, 52, 64]
    # A scaler divides by the width itself, which is not 20 / 96.
    assert units.by_width(model, 20, levels).width == 0.2
    assert dict(units.by_width(model, 20).kept) == {"first": 20, "second": 14}
    assert units.by_width(model, 21, levels) == units.by_width(model, 21)
    # The widest of two levels that have one size; 19.01 and 19.9 of 96 units are both 20.
    assert units.by_width(model, 20, (19.01 / 96, 19.9 / 96)).width == 19.9 / 96
    assert units.kept_of_width({"h": 100}, 0.55) == {"h": 55}


def test_larger_sizes_keep_no_fewer_units_with_levels():
    model = small.mlp(first=96, second=64)
    kept = [dict(units.by_width(model, size, (0.2, 0.55, 0.7)).kept) for size in range(1, 97)]
    for narrow, wide in itertools.pairwise(kept):
        assert all(narrow[name] <= wide[name] for name in model.groups)


def test_levels_beyond_the_supernet_are_refused():
    for levels in ((0, 1), (1.5,), (float("nan"),)):
        with pytest.raises(UserError, match="`levels` must be fractions"):
            units.shape_of_levels(levels)


def test_steps_of_ordered_dropout_draw_the_levels_below_their_own_size(model):
    """Of levels 3, 6 and 12 of 12 units, a client of 8 draws 3, 6 or its own 8, equally often."""
    own = Drawn(0.7, {"first": 8, "second": 6})
    draw = jax.vmap(lambda key: units.draw_kept(key, model, (0.25, 0.5, 1.0), own))
    widths, drawn = jax.jit(draw)(jax.random.split(jax.random.key(1), 3000))
    rows = np.stack([widths, drawn["first"], drawn["second"]], axis=1)
    rows, counts = np.unique(rows, axis=0, return_counts=True)
    np.testing.assert_allclose(rows, [[0.25, 3, 2], [0.5, 6, 4], [0.7, 8, 6]], rtol=1e-6)
    np.testing.assert_allclose(counts / 3000, 1 / 3, atol=4.5 * np.sqrt(2 / 9 / 3000))


def test_other_names_are_not_masked():
    masks = units.outer(
        {"w": np.zeros((2, 3))}, {"w": ("h", "classes")}, {"classes": jnp.array([1.0, 0, 1])}
    )
    np.testing.assert_array_equal(masks["w"], [[1, 0, 1]])


def test_scatter_of_constant_ranks_is_that_of_traced_ones(model, params):
    """A slice and a pad do what a gather by rank does."""
    constant = {name: np.arange(count) for name, count in model.groups.items()}
    traced = jax.tree.map(jnp.asarray, constant)
    narrow = [units.gather(params, model.axes, ranks, KEPT) for ranks in (constant, traced)]
    small.assert_trees_equal(*narrow)
    back = [units.scatter(narrow[0], model.axes, ranks) for ranks in (constant, traced)]
    small.assert_trees_equal(*back)
