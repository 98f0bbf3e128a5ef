"""Masks, gathers and scatters of subnets."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.supernet import units
from tests.support import small

RANKS = {"first": np.array([3, 0, 7, 1, 9, 5, 2, 11, 4, 10, 6, 8]), "second": np.arange(8)[::-1]}
SIZES = {"first": 5, "second": 3}


@pytest.fixture
def model():
    return small.mlp()


@pytest.fixture
def params(model):
    return model.init(jax.random.key(0))


def test_group_sizes_are_read_off_the_parameters(model):
    assert model.groups == {"first": 12, "second": 8}


def test_group_sizes_refuse_unequal_axes_of_one_name():
    with pytest.raises(UserError, match="unit group 'h'"):
        units.group_sizes({"a": np.zeros((2,)), "b": np.zeros((3,))}, {"a": ("h",), "b": ("h",)})


def test_group_sizes_refuse_a_missing_name():
    with pytest.raises(UserError, match="parameter a has 2 axes but 1"):
        units.group_sizes({"a": np.zeros((2, 3))}, {"a": ("h",)})


def test_masks_by_hand():
    axes = {"w": (None, "h"), "b": ("h",), "free": (None,)}
    shapes = {"w": np.zeros((2, 3)), "b": np.zeros(3), "free": np.zeros(4)}
    masks = units.masks(shapes, axes, {"h": jnp.array([2, 0, 1])}, {"h": 2})
    np.testing.assert_array_equal(masks["w"], [[0, 1, 1]])
    np.testing.assert_array_equal(masks["b"], [0, 1, 1])
    np.testing.assert_array_equal(masks["free"], [1])


def test_gather_takes_units_in_rank_order(model, params):
    narrow = units.gather(params, model.axes, RANKS, SIZES)
    first, second = [1, 3, 6, 0, 8], [7, 6, 5]
    expected = np.asarray(params["Dense_1"]["kernel"])[np.ix_(first, second)]
    np.testing.assert_array_equal(narrow["Dense_1"]["kernel"], expected)


def test_extract_then_insert_is_identity_inside_and_zero_outside(model, params):
    narrow = units.gather(params, model.axes, RANKS, SIZES)
    back = units.scatter(narrow, model.axes, RANKS)
    masks = units.masks(model.shapes, model.axes, RANKS, SIZES)
    small.assert_trees_equal(back, jax.tree.map(lambda p, m: p * m, params, masks))


@pytest.mark.parametrize("groups", [{"h": 100}, {"a": 64, "b": 512}, {"a": 13, "b": 62}])
def test_sizes_of_units_cover_one_to_all(groups):
    finest = max(groups.values())
    rows = [units.sizes_of_units(groups, kept) for kept in range(1, finest + 1)]
    assert min(rows[0].values()) >= 1
    assert rows[-1] == groups
    for narrow, wide in itertools.pairwise(rows):
        assert all(narrow[name] <= wide[name] for name in groups)


def test_sizes_of_units_round_up_without_binary_fractions():
    # Test vector I: ceil(64 w) and ceil(512 w) of FjORD's widths, and ceil(100 * .55) = 55.
    for size, expected in ((64, [13, 26, 39, 52]), (512, [103, 205, 308, 410])):
        found = [
            units.sizes_of_units({"h": size, "grid": 5000}, k)["h"] for k in range(1000, 5000, 1000)
        ]
        assert found == expected
    assert units.sizes_of_units({"h": 100, "grid": 1000}, 550)["h"] == 55
