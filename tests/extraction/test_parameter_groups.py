"""Groups of single parameters: names, counts and ranks."""

import dataclasses
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.extraction import parameter_groups
from hasa_jax.extraction.parameter_groups import name_groups, shape_by_count
from tests.support import small

KEY = jax.random.key(6)


def test_stages_have_the_same_first_two_words():
    names = ("conv", "stage_1_block_1", "stage_1_block_2", "stage_2_block_1", "head_norm_1")
    shapes = {name: {"kernel": jax.ShapeDtypeStruct((2,), np.float32)} for name in names}
    model = dataclasses.replace(small.mlp(), shapes=shapes)
    groups = jax.tree.leaves(name_groups(model, "stage"))
    assert groups == ["conv", "", "stage_1", "stage_1", "stage_2"]


def test_a_model_of_norms_only_is_refused():
    shapes = {"norm_1": {"gain": jax.ShapeDtypeStruct((2,), np.float32)}}
    with pytest.raises(UserError, match="nothing to cut"):
        name_groups(dataclasses.replace(small.mlp(), shapes=shapes), "model")


def test_counts_are_those_of_the_subnet_of_units():
    model = small.mlp(first=12, second=8)
    # 4 inputs and 5 classes; 5 of 12 units go with 4 of 8.
    count, full = 4 * 5 + 5 + 5 * 4 + 4 + 4 * 5 + 5, 4 * 12 + 12 + 12 * 8 + 8 + 8 * 5 + 5
    assert shape_by_count(model, 5, "model") == (1.0, (("model", count),), 1)
    by_layer = dict(shape_by_count(model, 5, "layer").kept)
    assert by_layer["Dense_1/kernel"] == int(Fraction(count, full) * 96)
    assert dict(shape_by_count(model, 1, "layer").kept)["Dense_2/bias"] == 1


def test_ranks_fall_within_a_group_and_ties_go_to_the_first():
    scores = {"a": jnp.array([1.0, 3.0]), "b": jnp.array([[3.0], [0.0]]), "c": jnp.array([9.0])}
    groups = {"a": "g", "b": "g", "c": parameter_groups.UNCUT}
    ranks = parameter_groups.rank_falling(scores, groups)
    assert jax.tree.map(lambda leaf: leaf.tolist(), ranks) == {
        "a": [2, 0],
        "b": [[1], [3]],
        "c": [0],
    }


def test_the_first_ranks_are_kept():
    params = {"a": jnp.array([1.0, 3.0]), "c": jnp.array([9.0])}
    groups = {"a": "g", "c": parameter_groups.UNCUT}
    ranks = parameter_groups.rank_falling(params, groups)
    mask = parameter_groups.keep_first(params, groups, ranks, {"g": 1})
    assert jax.tree.map(lambda leaf: leaf.tolist(), mask.masks) == {"a": [0, 1], "c": [1]}
    small.assert_trees_equal(mask.view(params), {"a": jnp.array([0.0, 3.0]), "c": params["c"]})
