"""A round: against a plain loop, between execution modes, and its invariances."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax import keys
from hasa_jax.client import batches
from hasa_jax.supernet import units
from tests.support import small

KEY = jax.random.key(11)
BATCH = 4
WIDTHS = {"uniform": [6, 6, 6, 6], "mixed": [12, 3, 7, 5], "full": [12, 12, 12, 12]}


def one_round(kind, units_kept, execution="masked", data=None, cohort=None, **knobs):
    model = small.MODELS[kind]()
    data = data or small.client_data(kind=kind)
    knobs = {"client_optimizer": optax.sgd(0.3), "batch_size": BATCH, "local_epochs": 2} | knobs
    algorithm = hj.partial_training(model, execution=hj.EXECUTIONS[execution], **knobs)
    cohort = cohort or small.cohort(model, data, units_kept, batch_size=BATCH)
    start = algorithm.init(KEY)
    end, metrics = jax.jit(algorithm.round)(start, data, cohort)
    return start, end, metrics


def numpy_round(params, data, units_kept, weights, aggregation, lr=0.3, epochs=2):
    """The executable specification: prefix subnets of the MLP, no vmap, no masks, no autodiff."""
    names = ["Dense_0", "Dense_1", "Dense_2"]
    old = [[np.asarray(params[n][k], np.float64) for k in ("kernel", "bias")] for n in names]
    total = [[np.zeros_like(x) for x in layer] for layer in old]
    held = [[np.zeros_like(x) for x in layer] for layer in old]
    for who, kept in enumerate(units_kept):
        first, second = kept, -(-8 * kept // 12)
        cuts = [
            (slice(None), slice(first)),
            (slice(first), slice(second)),
            (slice(second), slice(None)),
        ]
        layers = [[w[cut].copy(), b[cut[1]].copy()] for (w, b), cut in zip(old, cuts, strict=True)]
        num_batches = -(-data.num_examples[who] // BATCH)
        key = batches.batch_key(KEY, 0, who)
        rows, valid, _ = small.jitted_batches(key, data, who, int(num_batches), BATCH, epochs)
        for batch in (np.asarray(r)[np.asarray(v)] for r, v in zip(rows, valid, strict=True)):
            x, y = np.asarray(data.inputs, np.float64)[batch], data.targets[batch]
            acts = [x]
            for depth, (w, b) in enumerate(layers):
                z = acts[-1] @ w + b
                acts.append(np.maximum(z, 0) if depth < 2 else z)
            shifted = np.exp(acts[-1] - acts[-1].max(1, keepdims=True))
            delta = shifted / shifted.sum(1, keepdims=True)
            delta[np.arange(len(y)), y] -= 1
            delta /= len(y)
            for depth in (2, 1, 0):
                w, b = layers[depth]
                down = (delta @ w.T) * (acts[depth] > 0)
                layers[depth] = [w - lr * acts[depth].T @ delta, b - lr * delta.sum(0)]
                delta = down
        for depth, cut in enumerate(cuts):
            for part, where in enumerate((cut, cut[1])):
                total[depth][part][where] += weights[who] * layers[depth][part]
                held[depth][part][where] += weights[who]
    mass = sum(weights)

    def mean(t, h, o):
        if aggregation == "full":
            return (t + (mass - h) * o) / mass
        return np.where(h > 0, t / np.where(h > 0, h, 1), o)

    return {
        n: {k: mean(total[i][j], held[i][j], old[i][j]) for j, k in enumerate(("kernel", "bias"))}
        for i, n in enumerate(names)
    }


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
@pytest.mark.parametrize("aggregation", ["coverage", "full"])
@pytest.mark.parametrize("widths", sorted(WIDTHS))
def test_a_round_equals_the_numpy_loop(widths, aggregation, execution):
    data = small.client_data()
    start, end, _ = one_round("mlp", WIDTHS[widths], execution, aggregation=aggregation)
    expected = numpy_round(
        start.params, data, WIDTHS[widths], data.num_examples.astype(float), aggregation
    )
    assert small.max_difference(end.params, start.params) > 0.01
    small.assert_trees_close(end.params, expected, atol=1e-5)


OPTIMIZERS = {"sgd": optax.sgd(0.3), "adam": optax.adam(0.01)}


@pytest.mark.parametrize(
    ("kind", "aggregation", "optimizer"),
    [
        ("mlp", "coverage", "sgd"),
        pytest.param("mlp", "full", "adam", marks=pytest.mark.slow),
        ("lstm", "coverage", "adam"),
        pytest.param("lstm", "full", "sgd", marks=pytest.mark.slow),
    ],
)
def test_masked_equals_sliced(kind, aggregation, optimizer):
    knobs = {"aggregation": aggregation, "client_optimizer": OPTIMIZERS[optimizer]}
    _, masked, _ = one_round(kind, WIDTHS["mixed"], "masked", **knobs)
    _, sliced, _ = one_round(kind, WIDTHS["mixed"], "sliced", **knobs)
    small.assert_trees_close(masked.params, sliced.params, atol=1e-5)


def backwards(sent):
    """An order that is no prefix and differs by client: what extraction may do."""
    key = keys.address(sent.key, keys.Stream.ORDER, sent.round, sent.client)
    shift = jax.random.randint(key, (), 0, 5) + sent.round
    return {name: (shift - jnp.arange(size)) % size for name, size in sent.model.groups.items()}


@pytest.mark.parametrize("kind", ["mlp", pytest.param("lstm", marks=pytest.mark.slow)])
def test_masked_equals_sliced_for_any_order(kind):
    _, masked, _ = one_round(kind, WIDTHS["mixed"], "masked", extraction=units.ranked(backwards))
    _, sliced, _ = one_round(kind, WIDTHS["mixed"], "sliced", extraction=units.ranked(backwards))
    small.assert_trees_close(masked.params, sliced.params, atol=1e-5)


@pytest.mark.parametrize(
    "scaler",
    [pytest.param(kind, marks=pytest.mark.slow) for kind in ("always", "none", "train")],
)
def test_the_scaler_acts_in_both_modes_alike(scaler):
    model, data = small.lstm(scaler=scaler), small.client_data(kind="lstm")
    cohort = small.cohort(model, data, WIDTHS["mixed"], batch_size=BATCH)
    states = []
    for execution in hj.EXECUTIONS.values():
        algorithm = hj.partial_training(model, execution=execution, batch_size=BATCH)
        states.append(jax.jit(algorithm.round)(algorithm.init(KEY), data, cohort)[0].params)
    small.assert_trees_close(*states, atol=1e-5)
    plain = hj.partial_training(small.lstm(), batch_size=BATCH)
    difference = small.max_difference(
        states[0], jax.jit(plain.round)(plain.init(KEY), data, cohort)[0].params
    )
    assert (difference > 1e-3) == (scaler != "none")


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
def test_width_one_is_fedavg(execution):
    """All full: the example-weighted mean of whole local models, each trained alone."""
    data, model = small.client_data(), small.mlp()
    start, end, _ = one_round("mlp", WIDTHS["full"], execution)
    updates = []
    for i, n in enumerate(data.num_examples.tolist()):
        plan = small.jitted_batches(batches.batch_key(KEY, 0, i), data, i, -(-n // BATCH), BATCH, 2)
        update, _ = small.jitted_training(model, start.params, data, plan, optax.sgd(0.3))
        updates.append(update)
    q = data.num_examples / data.num_examples.sum()
    expected = jax.tree.map(
        lambda p, *us: p + sum(w * u for w, u in zip(q, us, strict=True)), start.params, *updates
    )
    small.assert_trees_close(end.params, expected, atol=1e-6)


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
@pytest.mark.parametrize("aggregation", ["coverage", "full"])
def test_coordinates_that_nobody_holds_keep_their_bits(execution, aggregation):
    model = small.mlp()
    start, end, _ = one_round("mlp", [5, 3, 2, 4], execution, aggregation=aggregation)
    ranks = {name: np.arange(size) for name, size in model.groups.items()}
    widest = units.sizes_of_units(model.groups, 5)
    held = units.masks(model.shapes, model.axes, ranks, widest)

    def same_outside(before, after, mask):
        outside = np.broadcast_to(np.asarray(mask) == 0, before.shape)
        np.testing.assert_array_equal(np.asarray(before)[outside], np.asarray(after)[outside])

    jax.tree.map(same_outside, start.params, end.params, held)
    inside = end.params["Dense_0"]["kernel"][:, :5] - start.params["Dense_0"]["kernel"][:, :5]
    assert float(jnp.abs(inside).min()) > 0


@pytest.mark.slow
@pytest.mark.parametrize("execution", ["sliced", "masked"])
def test_clients_without_weight_are_inert(execution):
    data, model = small.client_data(), small.mlp()
    with_idle = small.cohort(model, data, [12, 3, 7, 5], weights=[7, 0, 12, 1], batch_size=BATCH)
    poisoned = data.replace(inputs=np.array(data.inputs))
    poisoned.inputs[data.offsets[1] : data.offsets[2]] = np.nan
    _, clean, _ = one_round("mlp", None, execution, data=data, cohort=with_idle)
    _, dirty, _ = one_round("mlp", None, execution, data=poisoned, cohort=with_idle)
    small.assert_trees_equal(clean.params, dirty.params)
    only = small.cohort(model, data, [12, 3, 7, 5], batch_size=BATCH)
    _, everybody, _ = one_round("mlp", None, execution, data=data, cohort=only)
    assert small.max_difference(clean.params, everybody.params) > 1e-4


def test_permuting_the_cohort_changes_nothing():
    data, model = small.client_data(), small.mlp()
    cohort = small.cohort(model, data, WIDTHS["mixed"], batch_size=BATCH)
    order = np.array([2, 0, 3, 1])
    permuted = small.permuted(cohort, order)
    _, one, metrics = one_round("mlp", None, "masked", data=data, cohort=cohort)
    _, other, permuted_metrics = one_round("mlp", None, "masked", data=data, cohort=permuted)
    small.assert_trees_close(one.params, other.params, atol=1e-6)
    metrics = jax.tree.map(lambda x: x[:, order], metrics)
    small.assert_trees_close(metrics, permuted_metrics, atol=1e-4)


def test_uniform_weights_forget_sizes():
    data, model = small.client_data(), small.mlp()
    cohort = small.cohort(model, data, WIDTHS["full"], weights=np.ones(4), batch_size=BATCH)
    start, end, _ = one_round("mlp", None, data=data, cohort=cohort)
    expected = numpy_round(start.params, data, WIDTHS["full"], np.ones(4), "coverage")
    small.assert_trees_close(end.params, expected, atol=1e-5)


def test_masked_execution_is_one_program_for_all_widths():
    """Masked execution compiles once: a policy changes only numbers."""
    model, data = small.mlp(), small.client_data()
    masked = hj.EXECUTIONS["masked"](model, hj.EXTRACTIONS["prefix"]())
    sizes, everyone = data.num_examples, np.arange(4)
    places = [masked.place(everyone, np.array(k), sizes, sizes, 4) for k in WIDTHS.values()]
    assert len({jax.tree.structure(place) for place in places}) == 1
    assert places[0].index.shape == (1, 1, 4)
    assert small.members(places[0]) == [0, 1, 2, 3]
