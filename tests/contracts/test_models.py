"""What every supernet and every model of the table promises.

`KINDS` covers each kind of parameter sharing.
"""

import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.extraction import prefix
from hasa_jax.models import MODELS, SCALERS
from hasa_jax.supernet import costs, units
from hasa_jax.supernet.types import Context
from tests.support import small
from tests.support.nnx_models import MLP

KEY = jax.random.key(6)
VALID = jnp.array([True, False, True, True, False])

KINDS = {
    **small.SUPERNETS,
    "nnx": lambda: hj.from_nnx(MLP).bind(small.dataset(), norm="none", scaler="none"),
    "lstm dropout": lambda: small.lstm(hidden=8, dropout=0.4),
    "transformer dropout": lambda: small.transformer(dropout=0.4),
}
build = functools.cache(lambda kind: KINDS[kind]())


# What takes longest to compile, and differs from another one only in parts that are tested there.
SLOW = {
    "cnn group",
    "cnn layer, two exits",
    "cnn none",
    "lstm dropout",
    "resnet18 group, two exits",
    "resnet18 static",
    "transformer classifier",
    "transformer dropout",
}


@pytest.fixture(
    params=[
        pytest.param(kind, marks=[pytest.mark.slow] if kind in SLOW else [])
        for kind in sorted(KINDS)
    ]
)
def model(request):
    return build(request.param)


def inputs_of(model, examples=VALID.size):
    shape = (examples, *model.input_shape)
    if jnp.issubdtype(model.input_dtype, jnp.integer):
        # The ends of texts are padding, and the last text is nothing else.
        ids = jax.random.randint(KEY, shape, 1, small.NUM_CLASSES + 2)
        lengths = jnp.arange(examples)[::-1, None]
        return jnp.where(jnp.arange(shape[1])[None] < lengths, ids, 0)
    return jax.random.normal(KEY, shape)


@functools.cache
def params_of(model):
    """Returns parameters of which none is zero and no two are equal, as after training."""
    params = jax.jit(model.init)(KEY)
    leaves, tree = jax.tree.flatten(params)
    keys = jax.random.split(KEY, len(leaves))
    noisy = [x + 0.1 * jax.random.normal(key, x.shape) for x, key in zip(leaves, keys, strict=True)]
    return tree.unflatten(noisy)


def ranks_of(model):
    rng = np.random.default_rng(4)
    return {group: jnp.asarray(rng.permutation(count)) for group, count in model.groups.items()}


@functools.partial(jax.jit, static_argnums=0)
def observe(apply, params, inputs, context):
    """Returns the logits in training and evaluation (by both kinds of moments), and a gradient."""

    def loss(params):
        logits, moments = apply(params, inputs, context.replace(train=True))
        losses = [jnp.mean(jnp.sin(exit).reshape(VALID.size, -1), axis=1) for exit in logits]
        return sum(jnp.vdot(losses, VALID) for losses in losses), (logits, moments)

    gradient, (trained, moments) = jax.grad(loss, has_aux=True)(params)
    evaluated = [
        apply(params, inputs, context, own)[0] for own in (None, moments)[: 2 if moments else 1]
    ]
    return (trained, evaluated), gradient


def assert_logits_close(actual, expected):
    def check(a, b):
        assert np.isfinite(a).all()
        # Examples that do not count are normalised by others' moments, to large numbers.
        np.testing.assert_allclose(a, b, atol=1e-5, rtol=1e-4)

    jax.tree.map(check, actual, expected)


def test_axes_cover_every_leaf(model):
    units.map_with_axes(
        lambda names, leaf: np.testing.assert_equal(len(names), len(leaf.shape)),
        model.axes,
        model.shapes,
    )
    assert model.groups


def test_masked_equals_sliced(model):
    """In training and evaluation, with examples that do not count, and in every gradient."""
    largest = max(model.groups.values())
    params, inputs, ranks = params_of(model), inputs_of(model), ranks_of(model)
    kept = units.kept_of_size(model.groups, largest // 2)
    context = Context(width=0.5, valid=VALID, key=KEY)
    masks = units.masks(model.shapes, model.axes, ranks, kept)
    hidden = jax.tree.map(jnp.multiply, params, masks)
    inside = context.replace(ranks=ranks, kept=jax.tree.map(jnp.int32, kept))
    masked, masked_gradient = observe(model.apply, hidden, inputs, inside)
    apply = model.narrow(kept, model.num_exits)
    narrow = units.gather(params, model.axes, ranks, kept)
    inside = context.replace(places=units.places(ranks, kept))
    sliced, gradient = observe(apply, narrow, inputs, inside)
    assert_logits_close(masked, sliced)

    def check(masked, sliced, mask):
        # Differences of large terms: norms over few examples of one pixel.
        np.testing.assert_allclose(masked, sliced, atol=2e-5 * float(1 + jnp.abs(sliced).max()))
        assert not np.asarray(masked * (1 - mask)).any()

    jax.tree.map(check, masked_gradient, units.scatter(gradient, model.axes, ranks), masks)


def test_full_mask_is_no_mask(model):
    params, inputs = params_of(model), inputs_of(model)
    full = Context(valid=VALID)
    ranks = {group: jnp.arange(count) for group, count in model.groups.items()}
    context = full.replace(ranks=ranks, kept=jax.tree.map(jnp.int32, dict(model.groups)))
    apply = jax.jit(lambda context: model.apply(params, inputs, context)[0])
    assert_logits_close(apply(context), apply(full))


def test_a_smaller_subnet_inside_a_subnet(model):
    largest = max(model.groups.values())
    params, inputs, ranks = params_of(model), inputs_of(model), ranks_of(model)
    outer = units.kept_of_size(model.groups, largest - 2)
    inner = units.kept_of_size(model.groups, largest // 3)
    positions = {group: jnp.arange(count) for group, count in outer.items()}
    narrow = units.gather(params, model.axes, ranks, outer)
    masks = units.masks(narrow, model.axes, positions, inner)
    hidden = jax.tree.map(jnp.multiply, narrow, masks)
    context = Context(width=0.5, valid=VALID)
    inside = context.replace(ranks=positions, kept=jax.tree.map(jnp.int32, inner))
    nested = jax.jit(model.narrow(outer, model.num_exits))(hidden, inputs, inside)[0]
    smaller = units.gather(params, model.axes, ranks, inner)
    sliced = jax.jit(model.narrow(inner, model.num_exits))(smaller, inputs, context)[0]
    assert_logits_close(nested, sliced)


def test_a_shallower_subnet_has_the_first_exits(model):
    params, inputs = params_of(model), inputs_of(model)
    logits, _ = jax.jit(model.apply)(params, inputs, Context())
    assert len(logits) == model.num_exits
    for exits in range(1, model.num_exits):
        # Without the parameters that no exit so far uses.
        used = jax.tree.map(lambda depth: jnp.float32(depth <= exits), model.depths)  # noqa: B023
        shallow = jax.jit(model.narrow(model.groups, exits))
        needed = jax.tree.map(jnp.multiply, params, used)
        assert_logits_close(shallow(needed, inputs, Context())[0], logits[:exits])


def test_parameters_are_those_of_the_sliced_tree(model):
    largest = max(model.groups.values())
    params, ranks = params_of(model), ranks_of(model)
    for size in (1, largest // 2, largest):
        kept = units.kept_of_size(model.groups, size)
        narrow = units.gather(params, model.axes, ranks, kept)
        assert costs.parameter_count(model, kept) == sum(x.size for x in jax.tree.leaves(narrow))


@pytest.mark.parametrize("unit", ["width", "params", "macs"])
def test_cost_tables_rise_from_zero_to_one(model, unit):
    table = costs.cost_table(model, prefix(), unit)
    assert table[0] == 0
    assert table[-1] == 1
    assert (np.diff(table) > 0).all()


def test_interpolated_macs_equal_traced_macs(model):
    largest = max(model.groups.values())
    table = costs.cost_table(model, prefix(), "macs")
    full = costs.mac_count(model, model.groups)
    for size in (1, largest - 1):
        traced = costs.mac_count(model, units.kept_of_size(model.groups, size))
        assert table[size] == traced / full


WIDE = {"norm": "none", "stage1": 32, "stage2": 32, "stage3": 32, "stage4": 64}
LARGE = {
    "mlp": lambda: small.mlp(first=256, second=128),
    "perceptron": lambda: small.perceptron(hidden=128),
    # Large images, for the compiler leaves out the products with the zeros around them.
    "cnn": lambda: small.cnn(side=64, **WIDE),
    "resnet18": lambda: small.resnet18(side=64, **WIDE),
    "transformer": lambda: small.transformer(embed=128, head_dim=64, feedforward=256),
}


@pytest.mark.parametrize("kind", sorted(LARGE))
def test_macs_equal_the_compilers_count(kind):
    """XLA counts two operations a MAC, and a few more for biases, norms and activations."""
    model = LARGE[kind]()
    kept = units.kept_of_size(model.groups, max(model.groups.values()) * 3 // 4)
    narrow = units.map_with_axes(
        lambda names, leaf: jnp.zeros(units.narrow_shape(names, leaf.shape, kept)),
        model.axes,
        model.shapes,
    )
    apply = model.narrow(kept, 1)
    lowered = jax.jit(lambda p, x: apply(p, x, Context())[0]).lower(narrow, inputs_of(model, 1))
    flops = lowered.compile().cost_analysis()["flops"]
    assert costs.mac_count(model, kept) == pytest.approx(flops / 2, rel=0.15)


# Arguments that make models of the table small and deep, and a norm with moments.
DEEP = {
    "cnn": {"hidden": 3, "exits": 2},
    "lstm": {"embed": 3, "hidden": 7, "layers": 2, "exits": 2},
    "mlp": {"hidden": 7, "layers": 2, "exits": 2},
    "resnet18": {"hidden": 2, "exits": 2},
    "transformer": {
        "embed": 6, "heads": 2, "head_dim": 3, "feedforward": 7, "layers": 2, "exits": 2,
    },
}  # fmt: skip
SLOW_MODELS = {"resnet18", "transformer"}


@functools.cache
def bound(name, scaler):
    dataset = small.dataset(kind=name if name != "mlp" else "perceptron")
    return MODELS[name](**DEEP[name]).bind(dataset, norm="static", scaler=scaler)


def test_every_model_has_small_arguments():
    assert sorted(DEEP) == sorted(MODELS)


@pytest.mark.parametrize("name", sorted(MODELS))
def test_models_bind_to_the_data_and_the_method(name):
    dataset = small.dataset(kind=name)
    model = MODELS[name]().bind(dataset, norm="static", scaler="none")
    assert model.input_shape == dataset.train.inputs.shape[1:]
    assert model.input_dtype == dataset.train.inputs.dtype
    assert model.num_exits == 1
    inputs = jax.ShapeDtypeStruct((3, *model.input_shape), model.input_dtype)
    apply = functools.partial(model.apply, context=Context())
    (logits,), _ = jax.eval_shape(apply, model.shapes, inputs)
    assert logits.shape == (3, *dataset.train.targets.shape[1:], small.NUM_CLASSES)
    assert bool(model.moments) == (name in ("cnn", "mlp", "resnet18"))


@pytest.mark.parametrize("name", sorted(MODELS))
def test_specifications_are_values(name):
    assert MODELS[name]() == MODELS[name]()
    assert MODELS[name](exits=2) != MODELS[name]()
    assert bound(name, "none").num_exits == 2


ORDERS = {
    "prefix": lambda count: np.arange(count),
    "backwards": lambda count: np.arange(count)[::-1],
    "random": lambda count: np.random.default_rng(count).permutation(count),
}


def deployed(model, size, exits, order):
    """Returns the subnet's evaluation inside the supernet, and that of the module to deploy.

    Logits are those of all examples by the batch's own moments, and of one example by calibrated
    moments.
    """
    kept = units.kept_of_size(model.groups, size)
    width = size / max(model.groups.values())
    params, inputs = params_of(model), inputs_of(model)
    ranks = {group: order(count) for group, count in model.groups.items()}
    masks = units.masks(model.shapes, model.axes, ranks, kept)
    hidden = jax.tree.map(jnp.multiply, params, masks)
    context = Context(width, jax.tree.map(jnp.asarray, ranks), jax.tree.map(jnp.int32, kept))
    narrow = units.gather(params, model.axes, ranks, kept)
    module = model.module(kept, exits, width, narrow)

    def inside(context, moments=None, examples=inputs):
        return model.apply(hidden, examples, context, moments)[0][:exits]

    def outside(moments=None, examples=inputs):
        variables = {"params": narrow} | ({} if moments is None else {"moments": moments})
        logits = module.apply(variables, examples)
        return logits if isinstance(logits, tuple) else (logits,)

    pairs = [(jax.jit(inside)(context), jax.jit(outside)())]
    if model.moments:
        _, moments = jax.jit(model.apply)(hidden, inputs, context.replace(train=True))
        apply, training = model.narrow(kept, exits), Context(width=width, train=True)
        _, own = jax.jit(apply)(narrow, inputs, training)
        one = inputs[:1]
        pairs.append((jax.jit(inside)(context, moments, one), jax.jit(outside)(own, one)))
    return pairs


@pytest.mark.parametrize(
    ("scaler", "order"),
    [
        (scaler, order)
        for scaler, order in itertools.product(SCALERS, sorted(ORDERS))
        if scaler == "always" or order == "random"
    ],
)
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name in SLOW_MODELS else [])
        for name in sorted(MODELS)
    ],
)
def test_the_deployed_module_is_the_subnet_inside_the_supernet(name, scaler, order):
    model = bound(name, scaler)
    largest = max(model.groups.values())
    # In evaluation `train` does what `none` does.
    cases = [(1, 1), (largest // 2, 2), (largest, 2)] if scaler == "always" else [(largest // 2, 2)]
    for size, exits in cases:
        for inside, outside in deployed(model, size, exits, ORDERS[order]):
            assert len(inside) == len(outside) == exits
            assert_logits_close(inside, outside)
