"""Groups of single parameters: names, counts and ranks."""

import dataclasses
import math
from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.allocation.rounding import sizes_of_levels
from hasa_jax.base import UserError
from hasa_jax.datasets import synthetic_images
from hasa_jax.extraction import importance, parameter_groups
from hasa_jax.extraction.parameter_groups import group_sizes, name_groups, shape_by_count, shares
from hasa_jax.models import cnn
from hasa_jax.supernet.costs import cost_table, uncut_share
from tests.support import small

KEY = jax.random.key(6)


def test_stages_have_the_same_first_two_words():
    names = ("conv", "stage_1_block_1", "stage_1_block_2", "stage_2_block_1", "head_norm_1")
    shapes = {name: {"kernel": jax.ShapeDtypeStruct((2,), np.float32)} for name in names}
    axes = {name: {"kernel": (None,)} for name in names}
    model = dataclasses.replace(small.mlp(), shapes=shapes, axes=axes)
    groups = jax.tree.leaves(name_groups(model, "stage"))
    assert groups == ["conv", "", "stage_1", "stage_1", "stage_2"]


def test_a_model_of_norms_only_is_refused():
    shapes = {"norm_1": {"gain": jax.ShapeDtypeStruct((2,), np.float32)}}
    axes = {"norm_1": {"gain": (None,)}}
    model = dataclasses.replace(small.mlp(), shapes=shapes, axes=axes)
    with pytest.raises(UserError, match="nothing to cut"):
        name_groups(model, "model")


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


LEVELS = (1.0, 0.25, 0.0625, 0.015625)


def study_cnn():
    """The CNN of FIARSE's reduced study: 16 to 128 channels, images of 16 x 16, 10 classes."""
    data = synthetic_images(KEY, num_images=60, image_size=16, num_classes=10, num_clients=3)
    return cnn(hidden=16).bind(data, norm="batch", scaler="none")


def test_published_levels_keep_the_published_counts():
    """`k = int(gamma D)` of the 98,730 parameters that are not those of norms."""
    model = study_cnn()
    weights = 3 * 16 * 9 + 16 * 32 * 9 + 32 * 64 * 9 + 64 * 128 * 9 + 128 * 10
    assert group_sizes(model, "model") == {"model": weights + 16 + 32 + 64 + 128 + 10}
    extraction = importance(levels=LEVELS)
    table = cost_table(model, extraction, "params")
    sizes = sizes_of_levels(np.array(LEVELS), "params", table)
    kept = [dict(extraction.shape(model, int(size)).kept)["model"] for size in sizes]
    assert kept == [98730, 24682, 6170, 1542]
    # Norms are no part of the count: two numbers a channel.
    norms = 2 * (16 + 32 + 64 + 128)
    assert uncut_share(model, extraction) == pytest.approx(norms / (98730 + norms))
    np.testing.assert_allclose(table[sizes], np.array(kept) / 98730, rtol=1e-12)


def test_shares_rise_and_only_the_last_size_is_the_supernet():
    model = small.mlp(first=12, second=8)
    found = shares(model, "model", (0.99, 0.3))
    assert sorted(set(found)) == list(found)
    assert found[-1] == 1
    assert found[-2] == Fraction(99, 100)
    assert Fraction(3, 10) in found


def test_levels_of_one_size_are_refused():
    with pytest.raises(UserError, match=r"levels 0\.3 and 0\.301 have the same size of 12"):
        shares(small.mlp(), "model", (0.301, 0.3))
    with pytest.raises(UserError, match=r"fractions in \(0, 1\], not \[2.0\]"):
        shares(small.mlp(), "model", (2.0,))


def test_the_published_setting_of_texts_has_three_thresholds_and_leaves_the_head():
    model = small.transformer(causal=False)
    groups = name_groups(model, "published_text")
    names = {
        jax.tree_util.keystr(path, simple=True, separator="/"): name
        for path, name in jax.tree_util.tree_leaves_with_path(groups)
    }
    assert set(names.values()) == {"token_embedding", "position_embedding", "encoder", ""}
    for path, name in names.items():
        if "norm" in path or "head" in path.split("/")[0]:
            assert name == ""
    sizes = group_sizes(model, "published_text")
    assert sizes["token_embedding"] == (small.NUM_CLASSES + 2) * 8
    assert sizes["position_embedding"] == math.prod(model.shapes["positions"].shape)
    with pytest.raises(UserError, match="no axis of this model is named 'tokens'"):
        name_groups(small.mlp(), "published_text")
