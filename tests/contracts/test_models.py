"""What every supernet promises; MODELS of `small` covers each kind of parameter sharing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax import costs, units
from tests import small

KEY = jax.random.key(6)


@pytest.fixture(params=sorted(small.MODELS))
def kind(request):
    return request.param


def parts(kind, kept):
    model = small.MODELS[kind]()
    ranks = {name: jnp.arange(size)[::-1] for name, size in model.groups.items()}
    sizes = units.sizes_of_units(model.groups, kept)
    masks = units.masks(model.shapes, model.axes, ranks, sizes)
    inputs = jnp.asarray(small.client_data(kind=kind).inputs)
    return model, model.init(KEY), ranks, sizes, masks, inputs


def test_axes_cover_every_leaf(kind):
    model, params, *_ = parts(kind, 1)
    units.map_with_axes(
        lambda names, leaf: np.testing.assert_equal(len(names), leaf.ndim), model.axes, params
    )
    assert model.groups


def test_full_mask_is_no_mask(kind):
    finest = max(small.MODELS[kind]().groups.values())
    model, params, _, _, masks, inputs = parts(kind, finest)
    hidden = jax.tree.map(jnp.multiply, params, masks)
    np.testing.assert_array_equal(
        model.apply(hidden, inputs, width=1.0, train=False),
        model.apply(params, inputs, width=1.0, train=False),
    )


@pytest.mark.parametrize("kept", [1, 3, 7])
def test_masked_forward_equals_sliced_forward(kind, kept):
    model, params, ranks, sizes, masks, inputs = parts(kind, kept)
    hidden = jax.tree.map(jnp.multiply, params, masks)
    narrow = units.gather(params, model.axes, ranks, sizes)
    np.testing.assert_allclose(
        model.apply(hidden, inputs, width=1.0, train=False),
        model.narrow(sizes)(narrow, inputs, width=1.0, train=False),
        atol=1e-6,
    )


def test_no_gradient_outside_the_mask(kind):
    model, params, _, _, masks, inputs = parts(kind, 3)

    def loss(p):
        hidden = jax.tree.map(jnp.multiply, p, masks)
        return jnp.sum(model.apply(hidden, inputs, width=1.0, train=True) ** 2)

    def check(gradient, mask):
        outside = np.broadcast_to(np.asarray(mask) == 0, gradient.shape)
        assert not np.asarray(gradient)[outside].any()

    jax.tree.map(check, jax.grad(loss)(params), masks)


@pytest.mark.parametrize("kept", [2, 5, 12])
def test_parameters_are_those_of_the_sliced_tree(kind, kept):
    model, params, ranks, sizes, *_ = parts(kind, kept)
    narrow = units.gather(params, model.axes, ranks, sizes)
    assert costs.parameter_count(model, sizes) == sum(x.size for x in jax.tree.leaves(narrow))


@pytest.mark.parametrize("unit", costs.BUDGET_UNITS)
def test_cost_tables_rise_from_zero_to_one(kind, unit):
    table = costs.cost_table(small.MODELS[kind](), unit)
    assert table[0] == 0
    assert table[-1] == 1
    assert (np.diff(table) > 0).all()


def test_interpolated_macs_equal_traced_macs(kind):
    model = small.MODELS[kind]()
    finest = max(model.groups.values())
    table = costs.cost_table(model, "macs")
    full = costs.mac_count(model, model.groups)
    for kept in (1, 2, finest - 1):
        traced = costs.mac_count(model, units.sizes_of_units(model.groups, kept))
        assert table[kept] == traced / full


def test_macs_equal_the_compilers_count():
    """XLA counts two operations a MAC, and a few more for biases and activations."""
    model = small.mlp(first=256, second=128)
    sizes = units.sizes_of_units(model.groups, 100)
    params = model.init(KEY)
    ranks = {name: jnp.arange(size) for name, size in model.groups.items()}
    narrow = units.gather(params, model.axes, ranks, sizes)
    apply = model.narrow(sizes)
    compiled = jax.jit(lambda p, x: apply(p, x, width=1.0, train=False)).lower(
        narrow, jnp.zeros((1, 4))
    )
    flops = compiled.compile().cost_analysis()["flops"]
    assert costs.mac_count(model, sizes) == pytest.approx(flops / 2, rel=0.1)


def test_lstm_macs_by_hand():
    model = small.lstm(hidden=16)
    steps, embed, hidden, classes = small.LENGTH, 4, 10, small.NUM_CLASSES
    expected = steps * (embed * 4 * hidden + hidden * 4 * hidden + hidden * classes)
    assert costs.mac_count(model, {"hidden": hidden}) == expected
    whole = (small.NUM_CLASSES + 2) * embed
    cut = embed * 4 * hidden + hidden * 4 * hidden + 4 * hidden + hidden * classes + classes
    assert costs.parameter_count(model, {"hidden": hidden}) == whole + cut
