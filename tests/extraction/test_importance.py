"""Extractions of single parameters, and the measures that choose them."""

import dataclasses
from fractions import Fraction

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.extraction import importance
from hasa_jax.extraction.importance import cut_below
from hasa_jax.extraction.measures import MEASURES
from hasa_jax.extraction.parameter_groups import name_groups
from hasa_jax.supernet.types import Broadcast
from tests.support import small

KEY = jax.random.key(6)
SCALES = (1.0, -3.0, 0.5)
"""The client's examples have the losses `scale * |params|^2 / 2`, so gradients `scale * params`."""


class Normed(nn.Module):
    """A hidden layer with a norm."""

    hidden: int = 6

    @nn.compact
    def __call__(self, inputs):
        def named(init, *names):
            return nn.with_logical_partitioning(init, names)

        ones, zeros, normal = nn.initializers.ones, nn.initializers.zeros, nn.initializers.normal()
        first = nn.Dense(
            self.hidden,
            kernel_init=named(normal, None, "hidden"),
            bias_init=named(normal, "hidden"),
        )
        norm = nn.LayerNorm(
            scale_init=named(ones, "hidden"), bias_init=named(zeros, "hidden"), name="LayerNorm_0"
        )
        last = nn.Dense(3, kernel_init=named(normal, "hidden", None), bias_init=named(normal, None))
        return last(nn.relu(norm(first(inputs))))


def normed():
    model = hj.from_linen(Normed(), np.zeros((1, 4), np.float32))
    return model, model.init(KEY)


def sent(model, params):
    """A broadcast to a client of 3 sampled examples, 5 being the most."""

    def sample_loss(params, positions):
        squares = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(params))
        return jnp.array([*SCALES, 0.0, 0.0])[positions] * squares / 2

    zero = jnp.int32(0)
    return Broadcast(model, params, zero, zero, KEY, sample_loss, jnp.int32(3), 5)


def choose(extraction, model, params, sizes):
    prepared = extraction.prepare and extraction.prepare(params, model)
    return extraction.mask(sent(model, params), sizes, prepared)


def flat(tree):
    return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)])


def test_surrogate_gradient_of_the_paper():
    def gradient(weights, slopes):
        return jax.vjp(lambda w: cut_below(w, jnp.float32(0.3)), jnp.array(weights))[1](
            jnp.array(slopes)
        )[0]

    factors = gradient([0.3, 0.4, 1.0, 3.0], [1.0, 1.0, 1.0, 1.0])
    np.testing.assert_allclose(factors, [1.5, 1.489796, 1.355030, 1.165289], rtol=1e-6)
    slopes = gradient([-0.9, 0.31, 0.05, 0.6], [0.2, -0.5, 0.7, 1.1])
    np.testing.assert_allclose(slopes, [0.275, -0.749933, 0.0, 1.588889], rtol=1e-6)


def test_threshold_zero_is_the_identity():
    weights = jnp.array([0.0, -0.0, 1e-38, -1e-25, 2.0])
    slopes = jnp.array([1.0, 2.0, 3.0, 4.0, 5.0])
    kept, pull_back = jax.vjp(lambda w: cut_below(w, jnp.float32(0)), weights)
    np.testing.assert_array_equal(kept, weights)
    np.testing.assert_array_equal(pull_back(slopes)[0], slopes)


def test_surrogate_factor_is_bounded():
    weights = jnp.logspace(-30, 8, 200)
    for tau in (1e-30, 1e-6, 1.0):
        factor = jax.vjp(lambda w, t=tau: cut_below(w, jnp.float32(t)), weights)[1](
            jnp.ones_like(weights)
        )[0]
        kept = np.asarray(weights >= jnp.float32(tau))
        assert np.all((factor[kept] >= 1) & (factor[kept] <= 1.5))
        assert np.all(factor[~kept] == 0)


@pytest.mark.parametrize("greedy", [False, True])
def test_model_threshold_is_shared_by_all_arrays(greedy):
    model, params = small.mlp(), None
    params = model.init(KEY)
    masks = choose(importance(greedy=greedy), model, params, {"model": 50}).masks
    magnitudes = np.abs(flat(params))
    np.testing.assert_array_equal(flat(masks), magnitudes >= np.sort(magnitudes)[-50])


def test_layer_and_stage_thresholds_keep_their_own_counts():
    model = small.mlp()
    params = model.init(KEY)
    sizes = dict(importance("layer").shape(model, 6).sizes)
    assert set(sizes) == {f"Dense_{n}/{leaf}" for n in range(3) for leaf in ("bias", "kernel")}
    masks = choose(importance("layer"), model, params, sizes).masks
    for name, kept in sizes.items():
        module, leaf = name.split("/")
        assert masks[module][leaf].sum() == kept
    sizes = dict(importance("stage").shape(model, 6).sizes)
    masks = choose(importance("stage"), model, params, sizes).masks
    assert {name: flat(masks[name]).sum() for name in masks} == sizes


def test_stages_are_told_by_the_first_two_words():
    names = ("conv", "stage_1_block_1", "stage_1_block_2", "stage_2_block_1", "head_norm_1")
    shapes = {name: {"kernel": jax.ShapeDtypeStruct((2,), np.float32)} for name in names}
    model = dataclasses.replace(small.mlp(), shapes=shapes)
    groups = jax.tree.leaves(name_groups(model, "stage"))
    assert groups == ["conv", "", "stage_1", "stage_1", "stage_2"]


def test_a_model_of_norms_alone_is_refused():
    shapes = {"norm_1": {"gain": jax.ShapeDtypeStruct((2,), np.float32)}}
    with pytest.raises(hj.UserError, match="nothing to cut"):
        name_groups(dataclasses.replace(small.mlp(), shapes=shapes), "model")


def test_sizes_are_those_of_the_structured_subnet():
    model = small.mlp(first=12, second=8)
    # 4 inputs and 5 classes; 5 of 12 units go with 4 of 8.
    count, whole = 4 * 5 + 5 + 5 * 4 + 4 + 4 * 5 + 5, 4 * 12 + 12 + 12 * 8 + 8 + 8 * 5 + 5
    assert importance().shape(model, 5) == (1.0, (("model", count),), 1)
    by_layer = dict(importance("layer").shape(model, 5).sizes)
    assert by_layer["Dense_1/kernel"] == int(Fraction(count, whole) * 96)
    assert dict(importance("layer").shape(model, 1).sizes)["Dense_2/bias"] == 1


@pytest.mark.parametrize("greedy", [False, True])
@pytest.mark.parametrize("threshold", ["model", "layer", "stage"])
def test_norms_are_neither_cut_nor_counted(threshold, greedy):
    model, params = normed()
    extraction = importance(threshold, greedy=greedy)
    whole = dict(extraction.shape(model, 6).sizes)
    assert sum(whole.values()) == 4 * 6 + 6 + 6 * 3 + 3
    assert not any("Norm" in name for name in whole)
    choice = choose(extraction, model, params, dict.fromkeys(whole, 1))
    assert flat(choice.masks).sum() == len(whole) + 12
    effective, pull_back = jax.vjp(choice.view, params)
    small.assert_trees_equal(effective["LayerNorm_0"], params["LayerNorm_0"])
    (slopes,) = pull_back(jax.tree.map(jnp.ones_like, params))
    assert np.all(flat(slopes["LayerNorm_0"]) == 1)


def test_masks_shrink_during_a_round_unless_greedy():
    model = small.mlp()
    params = model.init(KEY)
    sizes = {"model": 50}
    by_threshold, by_rank = (
        choose(importance(greedy=greedy), model, params, sizes) for greedy in (False, True)
    )
    small.assert_trees_equal(by_threshold.masks, by_rank.masks)
    # All weights shrink, so those near the threshold fall below it; others would rise above.
    shrunk = jax.tree.map(lambda leaf: 0.9 * leaf, params)
    left = flat(by_threshold.view(shrunk)) != 0
    assert 0 < left.sum() < 50
    np.testing.assert_array_equal(flat(by_rank.view(shrunk)) != 0, flat(by_rank.masks))
    # Plain gradients are 1 or 0, the surrogate's are larger.
    ones = jax.tree.map(jnp.ones_like, params)
    (plain,), (surrogate,) = (
        jax.vjp(choice.view, params)[1](ones) for choice in (by_rank, by_threshold)
    )
    np.testing.assert_array_equal(flat(plain), flat(by_rank.masks))
    assert np.all(flat(surrogate)[flat(by_threshold.masks) == 1] > 1)


def test_pruning_greedy_is_greedy_importance():
    model = small.mlp()
    params = model.init(KEY)
    choices = [
        choose(extraction, model, params, {"model": 30})
        for extraction in (hj.EXTRACTIONS["pruning_greedy"](), importance(greedy=True))
    ]
    small.assert_trees_equal(*(choice.masks for choice in choices))
    small.assert_trees_equal(*(choice.view(params) for choice in choices))


def test_ties_with_the_threshold_are_kept_but_greedily_the_first():
    model = small.mlp()
    equal = jax.tree.map(jnp.ones_like, model.init(KEY))
    tied = choose(importance(), model, equal, {"model": 10}).masks
    assert np.all(flat(tied) == 1)
    first = choose(importance(greedy=True), model, equal, {"model": 10}).masks
    assert np.flatnonzero(flat(first)).tolist() == list(range(10))


def test_measures():
    model = small.mlp()
    params = model.init(KEY)
    scales, weights = np.array(SCALES), flat(params)
    expected = {
        "magnitude": np.abs(weights),
        "gradient": np.abs(scales.mean() * weights),
        "taylor": np.abs(scales.mean()) * weights**2,
        "fisher": np.mean(scales**2) * weights**2,
    }
    assert set(expected) == set(MEASURES)
    for name, values in expected.items():
        np.testing.assert_allclose(flat(MEASURES[name](sent(model, params))), values, rtol=1e-5)


def test_measures_of_an_empty_sample_are_finite():
    model = small.mlp()
    broadcast = sent(model, model.init(KEY))._replace(
        sample_loss=lambda params, positions: jnp.zeros(positions.shape), sample_size=jnp.int32(0)
    )
    for name in MEASURES.keys() - {"magnitude"}:
        assert np.all(flat(MEASURES[name](broadcast)) == 0)


@pytest.mark.parametrize("measure", ["gradient", "taylor", "fisher"])
def test_other_measures_keep_the_best_by_score(measure):
    model = small.mlp()
    params = model.init(KEY)
    extraction = importance(measure=measure)
    assert extraction.prepare is None
    choice = choose(extraction, model, params, {"model": 50})
    scores = flat(MEASURES[measure](sent(model, params)))
    np.testing.assert_array_equal(flat(choice.masks), scores >= np.sort(scores)[-50])
    slopes = jax.vjp(choice.view, params)[1](jax.tree.map(jnp.ones_like, params))[0]
    small.assert_trees_equal(slopes, choice.masks)


def test_unknown_options_are_refused():
    with pytest.raises(hj.UserError, match="unknown threshold 'block': use one of model, stage"):
        importance("block")
    with pytest.raises(hj.UserError, match="unknown measure 'size': use one of fisher"):
        importance(measure="size")
