"""Scalers, norms and places of exits against their definitions."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.models import layers
from hasa_jax.supernet.types import Context

KEY = jax.random.key(2)
IMAGES = 3 + 2 * jax.random.normal(KEY, (4, 3, 2, 8))
ALL = Context()


def normalise(kind, inputs, context=ALL, moments=None):
    module = layers.Norm("units", inputs.shape[-1], kind)
    params = {"gain": jnp.full(inputs.shape[-1], 2.0), "shift": jnp.ones(inputs.shape[-1])}
    variables = {"params": params} | ({} if moments is None else {"moments": moments})
    outputs, state = module.apply(variables, inputs, context, mutable=["batch_moments"])
    return np.asarray(outputs - 1) / 2, state.get("batch_moments", {})


def standard(values, axes):
    values = np.asarray(values)
    return (values - values.mean(axes, keepdims=True)) / np.sqrt(
        values.var(axes, keepdims=True) + 1e-5
    )


@pytest.mark.parametrize(("scaler", "train", "divisor"), [
    ("none", True, 1), ("train", False, 1), ("train", True, 0.5), ("always", False, 0.5),
])  # fmt: skip
def test_scalers(scaler, train, divisor):
    scaled = layers.scale(IMAGES, Context(width=0.5, train=train), scaler)
    np.testing.assert_array_equal(scaled, IMAGES / divisor)


@pytest.mark.parametrize(("scaler", "train", "divisor"), [
    ("inverted_dropout", True, 0.5), ("inverted_dropout", False, 1), ("train", True, 1),
])  # fmt: skip
def test_inverted_dropout_divides_behind_the_norm_only(scaler, train, divisor):
    context = Context(width=0.5, train=train)
    np.testing.assert_array_equal(layers.rescale(IMAGES, context, scaler), IMAGES / divisor)
    if scaler == "inverted_dropout":
        np.testing.assert_array_equal(layers.scale(IMAGES, context, scaler), IMAGES)


def test_unknown_names_are_refused():
    with pytest.raises(UserError, match="unknown scaler 'up'"):
        layers.scale(IMAGES, ALL, "up")
    with pytest.raises(UserError, match="unknown norm 'unit'"):
        normalise("unit", IMAGES)


@pytest.mark.parametrize("kind", ["batch", "static"])
@pytest.mark.parametrize("train", [True, False])
def test_batch_moments_are_of_valid_examples(kind, train):
    valid = jnp.array([True, False, True, True])
    with_outlier = IMAGES.at[1].set(1e3)
    actual, _ = normalise(kind, with_outlier, Context(valid=valid, train=train))
    expected = standard(IMAGES[valid], (0, 1, 2))
    np.testing.assert_allclose(actual[valid], expected, atol=1e-4)
    none, _ = normalise(kind, IMAGES, Context(valid=jnp.zeros(4, bool), train=train))
    assert np.isfinite(none).all()


def test_static_norm_keeps_its_moments():
    _, moments = normalise("static", IMAGES, Context(train=True))
    np.testing.assert_allclose(moments["mean"], IMAGES.mean((0, 1, 2)), rtol=1e-5)
    unbiased = np.asarray(IMAGES).var((0, 1, 2), ddof=1)
    np.testing.assert_allclose(moments["var"], unbiased, rtol=1e-4)
    one, _ = normalise("static", IMAGES[:1], ALL, moments)
    all_of_them, _ = normalise("static", IMAGES, ALL, moments)
    np.testing.assert_allclose(one, all_of_them[:1], atol=1e-6)
    training, _ = normalise("static", IMAGES[:1], Context(train=True), moments)
    np.testing.assert_allclose(training, standard(IMAGES[:1], (0, 1, 2)), atol=1e-4)
    assert normalise("batch", IMAGES)[1] == {}


def test_layer_and_group_norm():
    np.testing.assert_allclose(
        normalise("layer", IMAGES)[0], standard(IMAGES, (1, 2, 3)), atol=1e-5
    )
    grouped = standard(IMAGES.reshape(4, 3, 2, 4, 2), (1, 2, 4)).reshape(IMAGES.shape)
    np.testing.assert_allclose(normalise("group", IMAGES)[0], grouped, atol=1e-5)


@pytest.mark.parametrize("kept", [1, 3, 6])
def test_group_norm_groups_kept_units_by_rank(kept):
    """Also if there are fewer units than groups."""
    ranks = jnp.array([3, 0, 6, 2, 7, 1, 5, 4])
    order = jnp.argsort(ranks)[:kept]
    inputs = jnp.where(ranks < kept, IMAGES.reshape(-1, 8), 0).reshape(IMAGES.shape)
    context = Context(ranks={"units": ranks}, kept={"units": jnp.int32(kept)})
    masked, _ = normalise("group", inputs, context)
    expected = np.zeros((4, 3, 2, kept), np.float32)
    for group in range(4):
        members = [rank for rank in range(kept) if rank * 4 // kept == group]
        if members:
            expected[..., members] = standard(IMAGES[..., order[np.array(members)]], (1, 2, 3))
    np.testing.assert_allclose(masked[..., order], expected, atol=1e-5)
    sliced, _ = normalise("group", IMAGES[..., order])
    np.testing.assert_allclose(sliced, expected, atol=1e-5)


def test_exit_places():
    assert layers.spread_exits(4, 12) == (3, 6, 9, 12)
    assert layers.spread_exits(3, 4) == (1, 2, 4)
    assert layers.exit_places(1, (), 4) == (4,)
    assert layers.exit_places(2, (1, 3, 4), 4) == (1, 3)
    for exits, blocks in ((2, ()), (0, ()), (1, (0, 4)), (1, (2, 2, 4)), (1, (1, 3))):
        with pytest.raises(UserError, match="exit"):
            layers.exit_places(exits, blocks, 4)
    with pytest.raises(UserError, match="5 exits do not fit 4 blocks"):
        layers.spread_exits(5, 4)
