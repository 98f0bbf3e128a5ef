"""What every published method promises on every supernet that it fits."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.simulation.round_inputs import extract, prepare
from tests.support import small

KEY = jax.random.key(21)
BATCH = 4
MODELS = {
    "cnn": small.cnn,
    "lstm": small.lstm,
    "perceptron": small.perceptron,
    "resnet18": small.resnet18,
    "transformer": small.transformer,
}
WITH_NORM = {"cnn", "perceptron", "resnet18"}
DEPTH = {"cnn": 4, "lstm": 2, "perceptron": 2, "resnet18": 8, "transformer": 2}
SIZES = (5, 9, 3)


def model_of(method, kind):
    fields = {"scaler": method.scaler}
    if kind in WITH_NORM:
        fields["norm"] = method.norm
    if method.objective.all_exits:
        fields |= {"exits": 2, "exit_blocks": (1, DEPTH[kind])}
        if kind == "lstm":
            fields["layers"] = 2
    return MODELS[kind](**fields)


# Pairs of the everyday run on the models that are slow to compile; `slow` has all others.
EVERYDAY = {
    "cnn": set(),
    "lstm": {"fedrolex"},
    "perceptron": set(hj.METHODS),
    "resnet18": set(),
    "transformer": set(),
}


def pairs():
    """Every method on every model."""
    for name in sorted(hj.METHODS):
        for kind in sorted(MODELS):
            marks = [] if name in EVERYDAY[kind] else [pytest.mark.slow]
            yield pytest.param(name, kind, marks=marks)


@functools.cache
def data_of(kind):
    return small.client_data(SIZES, kind=kind)


@functools.cache
def program_of(name, kind, mode):
    """Makes a program once, so that the tests of a pair share what is compiled."""
    method = hj.METHODS[name]()
    return small.program(
        model_of(method, kind),
        data_of(kind),
        mode,
        method=method,
        optimizer=optax.sgd(0.03),
        batch_size=BATCH,
    )


def cohort_of(program, data, sizes, weights=(1, 1, 1)):
    return small.cohort(program, data, sizes, weights=weights)


def train(program, data, cohort):
    return small.one_round(program, data, cohort, KEY)[1].params


@pytest.mark.parametrize(("name", "kind"), list(pairs()))
def test_rounds_keep_every_invariant(name, kind):
    data, program = data_of(kind), program_of(name, kind, "masked")
    method, largest = program.method, max(program.model.groups.values())
    start = small.initial(program, KEY)

    def after(sizes, weights=(1, 1, 1), data=data, order=None):
        cohort = cohort_of(program, data, sizes, weights)
        if order is not None:
            cohort = small.permuted(cohort, np.array(order))
        return train(program, data, cohort)

    mixed = [largest, largest // 2, largest // 3 + 1]
    trained = after(mixed)
    assert small.max_difference(trained, start.params) > 1e-4, "a round trains"
    small.assert_trees_equal(after(mixed), trained)
    small.assert_trees_close(after(mixed, order=[2, 0, 1]), trained, atol=1e-6)

    # A client without weight is inert, whatever its data are.
    without = after(mixed, weights=[1, 0, 1])
    other = data.replace(inputs=np.array(data.inputs))
    other.inputs[data.offsets[1] : data.offsets[2]] = 0
    small.assert_trees_equal(after(mixed, [1, 0, 1], other), without)

    # At full size the round is the mean of every client's own training.
    full = [largest] * 3
    singles = [after(full, weights=np.eye(3)[i]) for i in range(3)]
    moved = method.aggregation == "nonzero"

    def mean(old, *new):
        count = sum((n != old) for n in new) if moved else 3
        return old + sum(n - old for n in new) / np.maximum(count, 1)

    if not method.label_split and method.robust == "none":
        expected = jax.tree.map(mean, start.params, *singles)
        small.assert_trees_close(after(full), expected, atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), list(pairs()))
def test_sliced_equals_masked_or_is_refused(name, kind):
    data, masked = data_of(kind), program_of(name, kind, "masked")
    if masked.extraction.order is None:
        with pytest.raises(hj.UserError, match="keeps single parameters: use masked"):
            program_of(name, kind, "sliced")
        return
    sliced = program_of(name, kind, "sliced")
    largest = max(masked.model.groups.values())
    sizes = [largest // 2, largest - 1, largest // 2]
    ends = [train(program, data, cohort_of(program, data, sizes)) for program in (masked, sliced)]
    small.assert_trees_close(*ends, atol=2e-5)


@functools.partial(jax.jit, static_argnames="program")
def masks_of(program, state, data, cohort):
    """Sums the masks of the clients of a cohort on one device, with one lane."""
    prepared, bucket = prepare(program, state), cohort.layout.buckets[0]
    slots = jax.tree.map(lambda x: jnp.asarray(x)[0, :, 0], cohort.slots)

    def masks(slot):
        return extract(program, state, data, prepared, slot, bucket).masks

    return jax.tree.map(lambda x: x.sum(axis=0), jax.lax.map(masks, slots))


@pytest.mark.parametrize("name", sorted(hj.METHODS))
def test_coordinates_that_no_client_holds_keep_their_bits(name):
    data, program = data_of("perceptron"), program_of(name, "perceptron", "masked")
    start = small.initial(program, KEY)
    cohort = cohort_of(program, data, [2, 3, 2])
    masks = masks_of(program, start, data, cohort)
    end = train(program, data, cohort)
    found = []
    for old, new, mask in zip(
        *(jax.tree.leaves(tree) for tree in (start.params, end, masks)), strict=True
    ):
        outside = np.broadcast_to(np.asarray(mask) == 0, old.shape)
        found.append(outside.any())
        np.testing.assert_array_equal(np.asarray(old)[outside], np.asarray(new)[outside])
    assert any(found)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("fiarse", "scalefl") else pytest.mark.slow)
        for name in sorted(hj.METHODS)
    ],
)
def test_evaluation_agrees_between_executions(name):
    method = hj.METHODS[name]()
    model = model_of(method, "cnn")
    given = np.array([4, 9, 6])
    widths = given / max(model.groups.values())
    sized = dataclasses.replace(
        method, policy=hj.Policy(lambda stats, budget, key: widths, budgeted=False)
    )
    losses = []
    for mode in ("masked", "sliced"):
        if method.extraction.order is None and mode == "sliced":
            continue
        algorithm = hj.build(
            sized,
            small.Bound(model),
            small.dataset(SIZES, kind="cnn"),
            key=KEY,
            training=hj.Training(batch_size=BATCH),
            execution=hj.Execution(mode, mesh="clients:1"),
        )
        assert algorithm.allocation.sizes.tolist() == given.tolist()
        losses.append(algorithm.evaluate(algorithm.init(KEY)).loss)
    for other in losses[1:]:
        np.testing.assert_allclose(other, losses[0], atol=1e-4)


@pytest.mark.parametrize("name", sorted(hj.METHODS))
def test_the_policy_is_in_the_table_and_has_its_score(name):
    method = hj.METHODS[name]()
    assert method.policy.name in hj.POLICIES
    assert method.summary
    assert method.policy.scored == (method.score is not None)
