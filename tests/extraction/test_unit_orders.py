"""Extractions of whole units: what each method's own paper or card promises."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.extraction import (
    depth_width,
    neuron_importance,
    ordered_dropout,
    prefix,
    random,
    rolling,
)
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast
from tests.support import small

KEY = jax.random.key(5)


def sent(model, params=None, client=0, round=0, scales=(1.0, 1.0)):
    """A broadcast to a client whose examples have the losses `scale * |params|^2 / 2`."""

    def sample_loss(params, positions):
        squares = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(params))
        return jnp.asarray(scales)[positions] * squares / 2

    params = model.init(KEY) if params is None else params
    size = jnp.int32(len(scales))
    return Broadcast(
        model, params, jnp.int32(round), jnp.int32(client), KEY, sample_loss, size, len(scales)
    )


def ranks_of(extraction, broadcast):
    assert extraction.order is not None
    return extraction.order(broadcast)


def windows(extraction, model, rounds, kept):
    """Returns which units of the first group are kept in each round, `[R, U]` bool."""
    params = model.init(KEY)

    def window(round):
        return ranks_of(extraction, sent(model, params, round=round))["first"] < kept

    return np.asarray(jax.jit(jax.vmap(window))(jnp.asarray(rounds)))


def test_rolling_of_the_paper():
    model = small.mlp(first=8, second=8)
    ranks = ranks_of(rolling(), sent(model, round=6))["first"]
    assert np.argsort(ranks)[:4].tolist() == [6, 7, 0, 1]
    small.assert_trees_equal(ranks_of(rolling(), sent(model)), ranks_of(prefix(), sent(model)))


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("kept", [1, 3, 8])
def test_rolling_keeps_every_unit_as_often(step, kept):
    windowed = windows(rolling(step), small.mlp(first=8), np.arange(5, 13), kept)
    np.testing.assert_array_equal(windowed.sum(axis=0), kept)


def test_rolling_starts_where_it_should_late_in_a_run():
    last = 2**31 - 1
    ranks = ranks_of(rolling(7919), sent(small.mlp(), round=last))["first"]
    assert int(np.argmin(ranks)) == last * 7919 % 12


@pytest.mark.parametrize("step", [0, -1, 1.5, None])
def test_rolling_refuses_steps(step):
    with pytest.raises(hj.UserError, match="rolling"):
        rolling(step)


def test_random_keeps_each_unit_with_equal_probability():
    rounds, kept = 2000, 3
    windowed = windows(random(), small.mlp(first=8), np.arange(rounds), kept)
    share = kept / 8
    error = np.sqrt(share * (1 - share) / rounds)
    np.testing.assert_allclose(windowed.mean(axis=0), share, atol=4.5 * error)


def test_random_covers_a_hidden_matrix_by_the_product_of_shares():
    model = small.mlp(first=8, second=8)
    params, rounds = model.init(KEY), 1000

    def coverage(round):
        ranks = ranks_of(random(), sent(model, params, round=round))
        masks = units.masks(model.shapes, model.axes, ranks, {"first": 2, "second": 4})
        return masks["Dense_1"]["kernel"]

    mean = jax.jit(lambda r: jnp.mean(jax.vmap(coverage)(r), axis=0))(jnp.arange(rounds))
    error = np.sqrt(1 / 8 * 7 / 8 / rounds)
    np.testing.assert_allclose(mean, 2 / 8 * 4 / 8, atol=5 * error)


def test_random_depends_on_seed_round_client_and_group():
    model = small.mlp(first=12, second=12)
    params = model.init(KEY)
    base = sent(model, params, client=1, round=1)
    others = [
        base._replace(round=jnp.int32(2)),
        base._replace(client=jnp.int32(2)),
        base._replace(key=jax.random.key(6)),
    ]
    drawn = [ranks_of(random(), broadcast) for broadcast in (base, *others)]
    permutations = {tuple(ranks[group].tolist()) for ranks in drawn for group in ranks}
    assert len(permutations) == 8


def test_random_shared_is_one_draw_for_all_clients():
    model = small.mlp()
    params = model.init(KEY)
    draws = [ranks_of(random(shared=True), sent(model, params, client=client)) for client in (0, 5)]
    small.assert_trees_equal(*draws)
    own = ranks_of(random(), sent(model, params, client=0))
    assert any(np.any(own[group] != draws[0][group]) for group in own)


def test_ordered_dropout_is_a_prefix_with_levels():
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
def test_ordered_dropout_refuses_levels(levels):
    with pytest.raises(hj.UserError, match="levels"):
        ordered_dropout(levels)


def with_exits(num_exits, **sizes):
    """A model of which `depth_width` only asks for groups and exits."""
    return dataclasses.replace(small.mlp(**sizes), num_exits=num_exits)


@pytest.mark.parametrize(
    ("num_exits", "published"),
    [
        (2, (0.7, 1)),
        (3, (0.7, 0.75, 1)),
        (4, (0.7, 0.7, 0.75, 1)),
        (5, (0.7, 0.775, 0.85, 0.925, 1)),
    ],
)
def test_depth_width_holds_the_published_pairs(num_exits, published):
    model = with_exits(num_exits, first=60, second=40)
    for level, width in enumerate(published, 1):
        shape = depth_width().shape(model, 60 * level // num_exits)
        kept = (("first", int(60 * width + 1e-9)), ("second", int(40 * width + 1e-9)))
        assert shape == (pytest.approx(width), kept, level)


def test_depth_width_between_levels():
    model = with_exits(2, first=20, second=10)
    # Halfway from level 1, width .4, to level 2, width 1.
    assert depth_width((0.4, 1)).shape(model, 15) == (0.7, (("first", 14), ("second", 7)), 2)
    assert depth_width((0.4, 1)).shape(model, 1) == (0.04, (("first", 1), ("second", 1)), 1)


def test_depth_width_loses_no_unit_to_binary_fractions():
    assert int(100 * 0.29) == 28
    shape = depth_width((0.29, 1)).shape(with_exits(2, first=100), 50)
    assert dict(shape.sizes)["first"] == 29
    shape = depth_width((2 / 3, 1)).shape(with_exits(2, first=60), 30)
    assert dict(shape.sizes)["first"] == 40


def test_depth_width_refuses_models_that_do_not_fit():
    with pytest.raises(hj.UserError, match="early exits"):
        depth_width().shape(small.mlp(), 3)
    with pytest.raises(hj.UserError, match="3 widths but the model has 2 exits"):
        depth_width((0.5, 0.7, 1)).shape(with_exits(2), 3)


@pytest.mark.parametrize("widths", [(), (0, 1), (0.5, 0.9), (0.8, 0.7, 1), (0.5, 1.1)])
def test_depth_width_refuses_widths(widths):
    with pytest.raises(hj.UserError, match="widths"):
        depth_width(widths)


def test_neuron_importance_is_the_norm_of_what_a_unit_touches():
    model = small.mlp(first=12, second=8)
    params = model.init(KEY)
    kernels = [np.asarray(params[f"Dense_{layer}"]["kernel"]) for layer in range(3)]
    biases = [np.asarray(params[f"Dense_{layer}"]["bias"]) for layer in range(3)]
    first = (kernels[0] ** 2).sum(0) + biases[0] ** 2 + (kernels[1] ** 2).sum(1)
    second = (kernels[1] ** 2).sum(0) + biases[1] ** 2 + (kernels[2] ** 2).sum(1)
    ranks = ranks_of(neuron_importance(), sent(model, params))
    np.testing.assert_array_equal(np.argsort(ranks["first"]), np.argsort(-first))
    np.testing.assert_array_equal(np.argsort(ranks["second"]), np.argsort(-second))


def test_neuron_importance_follows_the_params_and_breaks_ties_by_position():
    model = small.mlp()
    equal = jax.tree.map(jnp.ones_like, model.init(KEY))
    small.assert_trees_equal(
        ranks_of(neuron_importance(), sent(model, equal)), ranks_of(prefix(), sent(model, equal))
    )
    equal["Dense_0"]["bias"] = equal["Dense_0"]["bias"].at[7].set(-3.0)
    ranks = ranks_of(neuron_importance(), sent(model, equal))["first"]
    assert np.argsort(ranks)[:3].tolist() == [7, 0, 1]


def test_neuron_importance_counts_both_axes_of_a_group():
    model = small.lstm(hidden=4)
    zeros = jax.tree.map(jnp.zeros_like, model.init(KEY))
    # One weight from unit 3 to unit 2, a smaller one from unit 1 to itself.
    zeros["hidden_kernel"] = zeros["hidden_kernel"].at[3, 0, 2].set(2.0).at[1, 0, 1].set(1.0)
    ranks = ranks_of(neuron_importance(), sent(model, zeros))["hidden"]
    assert np.argsort(ranks).tolist() == [2, 3, 1, 0]


def test_neuron_importance_by_a_client_of_its_own():
    model = small.mlp()
    params = model.init(KEY)
    by_weights = ranks_of(neuron_importance(), sent(model, params))
    # The gradient's square is the weight's, scaled: fisher agrees with the squared norm.
    by_losses = ranks_of(neuron_importance("fisher"), sent(model, params, scales=(2.0, 0.5)))
    small.assert_trees_equal(by_losses, by_weights)
    with pytest.raises(hj.UserError, match="unknown measure 'entropy'"):
        neuron_importance("entropy")
