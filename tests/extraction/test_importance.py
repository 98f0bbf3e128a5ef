"""The most important single parameters, at every step or once a round."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.extraction import importance, pruning_greedy
from hasa_jax.extraction.importance import GRADIENTS, cut_below, zero_below
from hasa_jax.extraction.measures import MEASURES
from hasa_jax.supernet.linen import supernet_of
from tests.support import small
from tests.support.broadcasts import sent

KEY = jax.random.key(6)
SCALES = (1.0, -3.0, 0.5)


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
    model = supernet_of(Normed(), np.zeros((1, 4), np.float32))
    return model, model.init(KEY)


def choose(extraction, model, params, kept):
    """Returns the mask of a client of 3 sampled examples, 5 being the most."""
    prepared = extraction.prepare and extraction.prepare(params, model)
    return extraction.mask(sent(model, params, scales=SCALES, capacity=5), kept, prepared)


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


def test_gradient_of_the_released_code():
    """A boolean mask sends no gradient: `g * M` at every step."""
    weights, slopes = jnp.array([-0.9, 0.31, 0.05, 0.6]), jnp.array([0.2, -0.5, 0.7, 1.1])
    cut, pull_back = jax.vjp(lambda w: zero_below(w, jnp.float32(0.3)), weights)
    np.testing.assert_array_equal(cut, jnp.array([-0.9, 0.31, 0.0, 0.6]))
    np.testing.assert_array_equal(pull_back(slopes)[0], jnp.array([0.2, -0.5, 0.0, 1.1]))


def test_both_gradients_keep_the_same_and_follow_the_parameters():
    model = small.mlp()
    params = model.init(KEY)
    paper, released = (
        choose(importance(gradient=name), model, params, {"model": 90}) for name in GRADIENTS
    )
    small.assert_trees_equal(paper.masks, released.masks)
    # A weight that falls below the threshold is out at the next step.
    smaller = jax.tree.map(lambda leaf: 0.1 * leaf, params)
    for choice in (paper, released):
        assert np.count_nonzero(flat(choice.view(params))) == 90
        assert np.count_nonzero(flat(choice.view(smaller))) < 30
    slopes = jax.vjp(released.view, params)[1](jax.tree.map(jnp.ones_like, params))[0]
    small.assert_trees_equal(slopes, released.masks)


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


@pytest.mark.parametrize("extraction", [importance(), pruning_greedy()])
def test_the_threshold_of_the_model_is_shared_by_all_arrays(extraction):
    model = small.mlp()
    params = model.init(KEY)
    masks = choose(extraction, model, params, {"model": 50}).masks
    magnitudes = np.abs(flat(params))
    np.testing.assert_array_equal(flat(masks), magnitudes >= np.sort(magnitudes)[-50])


def test_layer_and_stage_thresholds_keep_their_own_counts():
    model = small.mlp()
    params = model.init(KEY)
    kept = dict(importance("layer").shape(model, 6).kept)
    assert set(kept) == {f"Dense_{n}/{leaf}" for n in range(3) for leaf in ("bias", "kernel")}
    masks = choose(importance("layer"), model, params, kept).masks
    for name, count in kept.items():
        module, leaf = name.split("/")
        assert masks[module][leaf].sum() == count
    kept = dict(importance("stage").shape(model, 6).kept)
    masks = choose(importance("stage"), model, params, kept).masks
    assert {name: flat(masks[name]).sum() for name in masks} == kept


@pytest.mark.parametrize("extract", [importance, pruning_greedy])
@pytest.mark.parametrize("threshold", ["model", "layer", "stage"])
def test_norms_are_neither_cut_nor_counted(threshold, extract):
    model, params = normed()
    extraction = extract(threshold)
    full = dict(extraction.shape(model, 6).kept)
    assert sum(full.values()) == 4 * 6 + 6 + 6 * 3 + 3
    assert not any("Norm" in name for name in full)
    choice = choose(extraction, model, params, dict.fromkeys(full, 1))
    assert flat(choice.masks).sum() == len(full) + 12
    effective, pull_back = jax.vjp(choice.view, params)
    small.assert_trees_equal(effective["LayerNorm_0"], params["LayerNorm_0"])
    (slopes,) = pull_back(jax.tree.map(jnp.ones_like, params))
    assert np.all(flat(slopes["LayerNorm_0"]) == 1)


def test_masks_shrink_during_a_round_unless_greedy():
    model = small.mlp()
    params = model.init(KEY)
    kept = {"model": 50}
    by_threshold, by_rank = (
        choose(extraction, model, params, kept) for extraction in (importance(), pruning_greedy())
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


def test_ties_with_the_threshold_are_kept_but_greedily_the_first():
    model = small.mlp()
    equal = jax.tree.map(jnp.ones_like, model.init(KEY))
    tied = choose(importance(), model, equal, {"model": 10}).masks
    assert np.all(flat(tied) == 1)
    first = choose(pruning_greedy(), model, equal, {"model": 10}).masks
    assert np.flatnonzero(flat(first)).tolist() == list(range(10))


@pytest.mark.parametrize("measure", ["gradient", "taylor", "fisher"])
def test_other_measures_keep_the_best_by_score(measure):
    model = small.mlp()
    params = model.init(KEY)
    extraction = importance(measure=measure)
    assert extraction.prepare is None
    choice = choose(extraction, model, params, {"model": 50})
    scores = flat(MEASURES[measure](sent(model, params, scales=SCALES, capacity=5)))
    np.testing.assert_array_equal(flat(choice.masks), scores >= np.sort(scores)[-50])
    slopes = jax.vjp(choice.view, params)[1](jax.tree.map(jnp.ones_like, params))[0]
    small.assert_trees_equal(slopes, choice.masks)


def test_unknown_options_are_refused():
    for extract in (importance, pruning_greedy):
        with pytest.raises(UserError, match="unknown threshold 'block': use one of model, stage"):
            extract("block")
    with pytest.raises(UserError, match="unknown gradient of importance 'plain': use one of tcb"):
        importance(gradient="plain")
    with pytest.raises(UserError, match="unknown measure 'size': use one of fisher"):
        importance(measure="size")
