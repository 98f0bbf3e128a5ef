"""Any linen module becomes a supernet, or is refused with a line that says why."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hasa_jax.base import UserError
from hasa_jax.models.layers import Norm, scale
from hasa_jax.supernet import losses, units
from hasa_jax.supernet.linen import from_linen, supernet_of
from hasa_jax.supernet.types import Context
from tests.support import small

KEY = jax.random.key(0)


def dense(size, names, **options):
    kernel = nn.with_logical_partitioning(nn.initializers.lecun_normal(), names)
    return nn.Dense(size, kernel_init=kernel, **options)


class Unnamed(nn.Module):
    hidden: int = 4

    @nn.compact
    def __call__(self, x):
        return nn.Dense(2)(nn.Dense(self.hidden)(x))


class NoField(nn.Module):
    @nn.compact
    def __call__(self, x):
        return dense(2, ("units", None))(dense(4, (None, "units"))(x))


class ForgottenBias(nn.Module):
    hidden: int = 4

    @nn.compact
    def __call__(self, x):
        return dense(2, ("hidden", None))(dense(self.hidden, (None, "hidden"))(x))


class Statistics(nn.Module):
    hidden: int = 4

    @nn.compact
    def __call__(self, x):
        x = dense(self.hidden, (None, "hidden"), use_bias=False)(x)
        return nn.BatchNorm(use_running_average=False)(x)


class Dropping(nn.Module):
    hidden: int = 4

    @nn.compact
    def __call__(self, x, context):
        x = dense(self.hidden, (None, "hidden"), use_bias=False)(x)
        return nn.Dropout(0.5, deterministic=not context.train)(x) @ jnp.ones((self.hidden, 2))


class NoExit(nn.Module):
    exits: int = 0

    @nn.compact
    def __call__(self, x):
        return x


@pytest.mark.parametrize(
    ("module", "match"),
    [
        (Unnamed(), "names no axis"),
        (NoField(), "'units' .4 units. must be the field of NoField"),
        (ForgottenBias(), "parameter Dense_1/bias .* name its cut axes"),
        (Statistics(), "batch_stats"),
        (Dropping(), "draws random numbers"),
        (NoExit(), "NoExit has 0 exits"),
    ],
)
def test_refusals(module, match):
    with pytest.raises(UserError, match=match):
        supernet_of(module, np.zeros((1, 3), np.float32))


class Net(nn.Module):
    """A module that leaves all that it can to the method and the data."""

    num_classes: int | None = None
    hidden: int = 6
    norm: str = "none"
    scaler: str = "none"
    width: float = 1.0

    @nn.compact
    def __call__(self, x, context=None):
        context = Context(width=self.width) if context is None else context
        x = dense(self.hidden, (None, "hidden"), use_bias=False, name="enter")(x)
        x = scale(x, context, self.scaler)
        x = Norm("hidden", self.hidden, self.norm, name="norm")(x, context)
        return dense(self.num_classes, ("hidden", "classes"), use_bias=False, name="head")(x)


class Words(nn.Module):
    """A model of the next word that knows nothing of its texts."""

    num_tokens: int | None = None
    num_classes: int | None = None
    max_length: int | None = None
    hidden: int = 4

    @nn.compact
    def __call__(self, tokens):
        def named(name, names, shape):
            init = nn.with_logical_partitioning(nn.initializers.normal(0.1), names)
            return self.param(name, init, shape)

        embedding = named("embedding", ("tokens", "hidden"), (self.num_tokens, self.hidden))
        positions = named("positions", (None, "hidden"), (self.max_length, self.hidden))
        head = named("head", ("hidden", "classes"), (self.hidden, self.num_classes))
        return (embedding[tokens] + positions[None]) @ head


def bind(module, kind="mlp", norm="none", scaler="none", **options):
    return from_linen(module, **options).bind(small.dataset(kind=kind), norm=norm, scaler=scaler)


def test_the_data_set_gives_shapes_and_classes():
    model = bind(Net())
    assert (model.input_shape, model.groups) == ((4,), {"hidden": 6})
    assert model.shapes["head"]["kernel"].shape == (6, small.NUM_CLASSES)
    words = bind(Words(), "lstm")
    assert words.shapes["embedding"].shape == (small.NUM_CLASSES + 2, 4)
    assert words.shapes["positions"].shape == (small.LENGTH, 4)
    assert words.shapes["head"].shape == (4, small.NUM_CLASSES)


def test_fields_that_are_set_stay():
    model = bind(Words(num_tokens=99), "lstm")
    assert model.shapes["embedding"].shape == (99, 4)


def test_the_method_gives_norm_and_scaler():
    model = bind(Net(), norm="static", scaler="always")
    assert set(model.moments["norm"]) == {"mean", "var"}
    assert model.module(model.groups, 1, 1.0, {}).norm == "static"
    params, inputs = model.init(KEY), jnp.ones((2, 4))
    moments = {"norm": {"mean": jnp.zeros(6), "var": jnp.ones(6)}}
    full, half = (
        model.apply(params, inputs, Context(width=width), moments)[0][0] for width in (1.0, 0.5)
    )
    np.testing.assert_allclose(half, 2 * full, rtol=1e-5)


def test_a_module_without_the_methods_scaler_is_refused():
    with pytest.raises(UserError, match="MLP has no field `scaler`") as raised:
        bind(small.MLP(), scaler="train")
    assert 'dataclasses.replace(method, scaler="none")' in str(raised.value)
    assert "context.width" in str(raised.value)


def test_a_scaler_that_no_context_reaches_is_refused():
    class Deaf(nn.Module):
        scaler: str = "none"
        hidden: int = 4

        @nn.compact
        def __call__(self, x):
            return dense(small.NUM_CLASSES, ("hidden", None), use_bias=False)(
                dense(self.hidden, (None, "hidden"), use_bias=False)(x)
            )

    with pytest.raises(UserError, match="Deaf has no argument `context`"):
        bind(Deaf(), scaler="always")
    assert bind(Deaf()).groups == {"hidden": 4}


def test_logits_that_do_not_fit_the_targets_are_refused():
    with pytest.raises(UserError, match=r"Net does not fit .* shape \(3,\) .* must have \(5,\)"):
        bind(Net(num_classes=3))
    with pytest.raises(UserError, match=r"logits have the shape \(5,\) .* must have \(6, 5\)"):
        bind(Net(), "lstm")


def test_numbers_give_no_tokens():
    with pytest.raises(UserError, match="Words reads max_length, num_tokens from texts"):
        bind(Words())


def test_a_specification_computes_in_its_type():
    model = bind(Net(), dtype=jnp.bfloat16)
    logits = model.apply(model.init(KEY), jnp.ones((2, 4)), Context())[0][0]
    assert logits.dtype == jnp.float32
    exact = bind(Net()).apply(model.init(KEY), jnp.ones((2, 4)), Context())[0][0]
    assert 0 < np.abs(logits - exact).max() < 0.05


class Wide(nn.Module):
    """A module whose units are in a field `width`."""

    width: int = 6

    @nn.compact
    def __call__(self, x):
        hidden = dense(self.width, (None, "width"), use_bias=False, name="enter")(x)
        return dense(small.NUM_CLASSES, ("width", None), use_bias=False, name="head")(hidden)


@pytest.mark.parametrize("module", [Net(), Wide(), small.MLP()])
def test_the_narrow_module_needs_no_context(module):
    scaler = "always" if isinstance(module, Net) else "none"
    model = bind(module, scaler=scaler)
    largest = max(model.groups.values())
    shape = units.by_width(model, largest // 2)
    kept = dict(shape.kept)
    ranks = {group: np.arange(count)[::-1] for group, count in model.groups.items()}
    params, inputs = model.init(KEY), jax.random.normal(KEY, (3, 4))
    masks = units.masks(model.shapes, model.axes, ranks, kept)
    hidden = jax.tree.map(jnp.multiply, params, masks)
    context = Context(shape.width, jax.tree.map(jnp.asarray, ranks), kept)
    expected = model.apply(hidden, inputs, context)[0][0]
    narrow = units.gather(params, model.axes, ranks, kept)
    deployed = model.module(kept, shape.exits, shape.width, {})
    assert isinstance(deployed, type(module))
    np.testing.assert_allclose(deployed.apply({"params": narrow}, inputs), expected, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        ("lstm", {}),
        pytest.param("transformer", {"scaler": "train", **small.TWO_EXITS}, marks=pytest.mark.slow),
    ],
)
def test_bfloat16_computes_nearly_the_same_with_float32_parameters(kind, fields):
    make = getattr(small, kind)
    exact, rough = make(**fields), make(dtype=jnp.bfloat16, **fields)
    params, data = rough.init(KEY), small.client_data((6,), kind)
    assert {leaf.dtype for leaf in jax.tree.leaves(params)} == {jnp.dtype("float32")}

    def loss(model):
        def of(params):
            logits, _ = model.apply(params, data.inputs, Context(train=True))
            sums = losses.score_batch(logits[-1], data.targets, np.ones(6, bool))
            return sums.loss / sums.loss_count

        return jax.jit(jax.value_and_grad(of))(params)

    (value, gradient), (rough_value, rough_gradient) = loss(exact), loss(rough)
    assert {leaf.dtype for leaf in jax.tree.leaves(rough_gradient)} == {jnp.dtype("float32")}
    assert value != rough_value, "it computes in another type"
    np.testing.assert_allclose(rough_value, value, rtol=0.03)
    norm = optax.tree.norm(gradient)
    apart = optax.tree.norm(jax.tree.map(jnp.subtract, gradient, rough_gradient))
    assert apart < 0.1 * norm
