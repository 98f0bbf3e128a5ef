"""Any nnx module becomes a supernet, or is refused with a line that says why."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from flax import nnx

import hasa_jax as hj
from hasa_jax.base import UserError
from hasa_jax.models import layers
from hasa_jax.simulation import cohorts
from hasa_jax.supernet import units
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.types import Context
from tests.support import small
from tests.support.nnx_models import MLP, linear

KEY = jax.random.key(3)
SGD = optax.sgd(0.1)


def bind(factory, kind="mlp", norm="none", scaler="none", **options):
    return hj.from_nnx(factory, **options).bind(small.dataset(kind=kind), norm=norm, scaler=scaler)


NNX = functools.cache(lambda: bind(MLP))


def test_groups_shapes_and_axes():
    model = NNX()
    assert (model.input_shape, model.groups) == ((4,), {"first": 12, "second": 8})
    assert model.axes["enter"] == {"kernel": (None, "first"), "bias": ("first",)}
    assert model.shapes["layers"]["0"]["kernel"].shape == (12, 8)
    assert model.shapes["head"]["kernel"].shape == (8, small.NUM_CLASSES)
    assert not model.moments
    assert not model.draws


def test_arguments_of_a_partial_are_those_of_the_module():
    model = bind(functools.partial(MLP, 6, second=4))
    assert model.groups == {"first": 6, "second": 4}


def test_a_factory_may_be_a_function():
    def narrow(first=5, num_classes=None, *, rngs):
        return MLP(first, 3, num_classes, rngs=rngs)

    with pytest.raises(UserError, match=r"'second' .3 units. must be the argument of narrow"):
        bind(narrow)


class LinenMLP(nn.Module):
    """The same as `MLP`, with parameters of the same names."""

    first: int = 12
    second: int = 8

    @nn.compact
    def __call__(self, x):
        x = nn.relu(layers.Dense(self.first, (None, "first"), name="enter")(x))
        x = nn.relu(layers.Dense(self.second, ("first", "second"), name="layers_0")(x))
        return layers.Dense(small.NUM_CLASSES, ("second", "classes"), name="head")(x)


def as_linen(params):
    """Renames the parameters of the list."""
    inner = {f"layers_{number}": own for number, own in params["layers"].items()}
    return {name: own for name, own in params.items() if name != "layers"} | inner


@pytest.mark.parametrize("mode", ["masked", pytest.param("sliced", marks=pytest.mark.slow)])
def test_it_trains_to_the_numbers_of_the_same_linen_module(mode):
    data = small.client_data()
    linen = supernet_of(LinenMLP(), data.inputs)
    start, ends = NNX().init(KEY), []
    for model, params in ((NNX(), start), (linen, as_linen(start))):
        program = small.program(model, data, mode, optimizer=SGD)
        cohort = small.cohort(program, data, (3, 12, 7, 5))
        state = hj.ServerState(params, program.server_optimizer.init(params), jnp.int32(0), KEY)
        ends.append(hj.scan_rounds(program, state, data, cohorts.stack([cohort] * 2))[0].params)
    own, other = ends
    assert small.max_difference(own, start) > 1e-2
    small.assert_trees_close(as_linen(own), other, atol=1e-7)


def test_a_narrow_module_is_deployed_with_its_parameters():
    """And computes what the subnet does inside the supernet."""
    model = NNX()
    params, inputs = model.init(KEY), jax.random.normal(KEY, (3, 4))
    kept = units.kept_of_size(model.groups, 5)
    ranks = {group: np.arange(count)[::-1].copy() for group, count in model.groups.items()}
    narrow = units.gather(params, model.axes, ranks, kept)
    module = model.module(kept, 1, 5 / 12, narrow)
    assert isinstance(module, MLP)
    assert module.enter.kernel.shape == (4, 5)
    hidden = jax.tree.map(jnp.multiply, units.masks(model.shapes, model.axes, ranks, kept), params)
    expected = model.apply(hidden, inputs, Context(5 / 12, ranks, kept))[0][0]
    np.testing.assert_allclose(module(inputs), expected, atol=1e-6)


class WithContext(nnx.Module):
    """Dropout, a scaler, early exits, and dropout of the package."""

    def __init__(self, hidden=6, exits=2, num_classes=None, scaler="none", width=1.0, *, rngs):
        self.scaler, self.width = scaler, width
        self.enter = linear(4, hidden, (None, "hidden"), rngs)
        if exits > 1:
            self.next = linear(hidden, hidden, ("hidden", "hidden/next"), rngs)
        groups = ("hidden", "hidden/next")[:exits]
        self.heads = nnx.List([linear(hidden, num_classes, (g, "classes"), rngs) for g in groups])

    def __call__(self, x, context=None):
        context = Context(width=self.width) if context is None else context
        states = [layers.scale(self.enter(x), context, self.scaler)]
        states[0] = layers.drop(nnx.relu(states[0]), context, 0.3, "hidden", "enter")
        if len(self.heads) > 1:
            states.append(nnx.relu(self.next(states[0])))
        logits = tuple(head(own) for head, own in zip(self.heads, states, strict=True))
        return logits if len(logits) > 1 else logits[0]


def test_context_exits_scaler_and_dropout():
    model = bind(WithContext, scaler="train", dtype=jnp.bfloat16)
    assert model.draws
    assert model.num_exits == 2
    assert model.depths["enter"]["kernel"] == model.depths["heads"]["0"]["kernel"] == 1
    assert model.depths["next"]["kernel"] == model.depths["heads"]["1"]["kernel"] == 2
    (logits,), _ = model.narrow({"hidden": 3, "hidden/next": 3}, 1)(
        units.gather(
            model.init(KEY),
            model.axes,
            {group: np.arange(6) for group in model.groups},
            {"hidden": 3, "hidden/next": 3},
        ),
        jnp.ones((2, 4)),
        Context(0.5),
    )
    assert logits.dtype == jnp.float32


def with_inner(make, **options):
    """Returns a factory of a module with an inner one."""

    class Net(nnx.Module):
        def __init__(self, hidden=6, num_classes=None, *, rngs):
            self.enter = linear(4, hidden, (None, "hidden"), rngs)
            self.inner = make(hidden, rngs)
            self.head = linear(hidden, num_classes, ("hidden", "classes"), rngs)

        def __call__(self, x):
            return self.head(self.inner(self.enter(x)))

    return Net


def unnamed(hidden=6, *, rngs):
    return nnx.Linear(4, hidden, rngs=rngs)


def forgotten_bias(hidden=6, *, rngs):
    kernel = nnx.with_partitioning(nnx.initializers.lecun_normal(), (None, "hidden"))
    return nnx.Linear(4, hidden, kernel_init=kernel, rngs=rngs)


def no_rngs(hidden=6):
    return MLP(hidden, rngs=nnx.Rngs(0))


def no_value(features, hidden=6, *, rngs):
    return MLP(hidden, features, rngs=rngs)


def of_another_size(first=12, num_classes=None, *, rngs):
    return MLP(7 if first == 12 else first, 7, num_classes, rngs=rngs)


def kept_as(hidden, rngs):
    del hidden
    return nnx.Sequential(lambda x: x, nnx.Dropout(0.0, rngs=rngs))


def no_module(hidden=6, *, rngs):
    del hidden, rngs
    return "a network"


class Uncalled(nnx.Module):
    """A module that cannot be called."""

    def __init__(self, *, rngs):
        del rngs
        self.weight = nnx.Param(jnp.ones(3))


class Counting(Uncalled):
    """A module with a parameter of integers."""

    def __init__(self, *, rngs):
        super().__init__(rngs=rngs)
        self.count = nnx.Param(jnp.arange(3))

    def __call__(self, x):
        return x * self.count.get_value()


class Plain(Counting):
    """A module with an array that is no variable."""

    def __init__(self, *, rngs):
        super().__init__(rngs=rngs)
        self.table = nnx.data(jnp.ones(3))


@pytest.mark.parametrize(
    ("factory", "match"),
    [
        (functools.partial(MLP, rngs=nnx.Rngs(3)), "`rngs` of MLP is given, .*: leave it out"),
        (no_module, "no_module makes str: it must make an nnx.Module with `__call__`"),
        (Uncalled, "Uncalled makes Uncalled: it must make an nnx.Module with `__call__`"),
        (Counting, "parameter count of Counting is int32: parameters must be floats"),
        (Plain, "Plain keeps an array at table that is no nnx.Param"),
        (unnamed, "unnamed names no axis"),
        (forgotten_bias, "parameter bias .* name its cut axes"),
        (no_rngs, "no_rngs has no argument `rngs`"),
        (no_value, "argument 'features' of no_value has no value: give it by functools.partial"),
        (of_another_size, "axis name 'first' .7 units. must be the argument"),
        (with_inner(lambda n, r: nnx.Dropout(0.5, rngs=r)), "by nnx.Dropout.*: use `drop`"),
        (with_inner(kept_as), "keeps random numbers at inner/layers/1/rngs/count"),
        (
            with_inner(lambda n, r: nnx.BatchNorm(n, use_scale=False, use_bias=False, rngs=r)),
            "Net keeps state .BatchStat at inner/mean., which no method averages",
        ),
        (
            with_inner(lambda n, r: nnx.LayerNorm(n, use_scale=False, use_bias=False, rngs=r)),
            "Net computes something else when units of 'hidden' are cut out",
        ),
    ],
)
def test_refusals(factory, match):
    with pytest.raises(UserError, match=match):
        bind(factory)


def test_a_scaler_needs_a_module_that_has_one():
    with pytest.raises(UserError, match="MLP has no argument `scaler`: give MLP the argument"):
        bind(MLP, scaler="train")
