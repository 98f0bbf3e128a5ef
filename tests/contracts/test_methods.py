"""What every published method promises on every supernet that it fits."""

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution.broadcast import broadcast_fn
from hasa_jax.methods import method as methods
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
DEPTH = {"cnn": 4, "lstm": 2, "perceptron": 2, "resnet18": 4, "transformer": 2}
SIZES = (5, 9, 3)


def model_of(method, kind):
    fields = {"scaler": method.scaler}
    if kind in WITH_NORM:
        fields["norm"] = method.norm
    if method.objective == "multi_exit":
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


def algorithm_of(name, kind, execution):
    method = hj.METHODS[name]
    return methods.build(
        method,
        model_of(method, kind),
        execution=hj.EXECUTIONS[execution],
        client_optimizer=optax.sgd(0.03),
        batch_size=BATCH,
    )


def place(algorithm, data, kept, weights=None):
    everyone = np.arange(len(kept))
    weights = np.ones(len(kept)) if weights is None else np.asarray(weights)
    sizes = data.num_examples
    return algorithm.execution.place(everyone, np.asarray(kept), weights, sizes, BATCH)


@pytest.mark.parametrize(("name", "kind"), list(pairs()))
def test_rounds_keep_every_invariant(name, kind):
    algorithm = algorithm_of(name, kind, "masked")
    data = small.client_data(SIZES, kind=kind)
    finest = max(algorithm.model.groups.values())
    start = algorithm.init(KEY)
    step = jax.jit(algorithm.round)

    def after(kept, weights=None, data=data, order=None):
        cohort = place(algorithm, data, kept, weights)
        if order is not None:
            cohort = small.permuted(cohort, np.array(order))
        return step(start, data, cohort)[0].params

    mixed = [finest, finest // 2, finest // 3 + 1]
    trained = after(mixed)
    assert small.max_difference(trained, start.params) > 1e-4, "a round trains"
    small.assert_trees_equal(after(mixed), trained)
    small.assert_trees_close(after(mixed, order=[2, 0, 1]), trained, atol=1e-6)

    # A client without weight is inert, whatever its data hold.
    alone = after(mixed, weights=[1, 0, 1])
    spoiled = data.replace(inputs=np.array(data.inputs))
    spoiled.inputs[data.offsets[1] : data.offsets[2]] = 0
    small.assert_trees_equal(after(mixed, [1, 0, 1], spoiled), alone)

    # Whole subnets: the round is the mean of every client's own training.
    whole = [finest] * 3
    singles = [after(whole, weights=np.eye(3)[i]) for i in range(3)]
    moved = hj.METHODS[name].aggregation == "nonzero"

    def mean(old, *new):
        count = sum((n != old) for n in new) if moved else 3
        return old + sum(n - old for n in new) / np.maximum(count, 1)

    if not hj.METHODS[name].label_split and hj.METHODS[name].robust == "none":
        expected = jax.tree.map(mean, start.params, *singles)
        small.assert_trees_close(after(whole), expected, atol=1e-6)


@pytest.mark.parametrize(("name", "kind"), list(pairs()))
def test_sliced_equals_masked_or_is_refused(name, kind):
    masked = algorithm_of(name, kind, "masked")
    if masked.extraction.order is None:
        with pytest.raises(hj.UserError, match="keeps single parameters: use masked"):
            algorithm_of(name, kind, "sliced")
        return
    sliced = algorithm_of(name, kind, "sliced")
    data = small.client_data(SIZES, kind=kind)
    finest = max(masked.model.groups.values())
    ends = []
    for algorithm in (masked, sliced):
        cohort = place(algorithm, data, [finest // 2, finest - 1, finest // 2])
        ends.append(jax.jit(algorithm.round)(algorithm.init(KEY), data, cohort)[0].params)
    small.assert_trees_close(*ends, atol=2e-5)


@pytest.mark.parametrize("name", sorted(hj.METHODS))
def test_coordinates_that_nobody_holds_keep_their_bits(name):
    algorithm = algorithm_of(name, "perceptron", "masked")
    data = small.client_data(SIZES, kind="perceptron")
    start = algorithm.init(KEY)
    held = []

    def note(subnet, client, weight, turn):
        return subnet.masks, ()

    cohort = place(algorithm, data, [2, 3, 2])
    masks, _ = algorithm.execution.run(
        note, broadcast_fn(algorithm.model, start, data, BATCH), cohort
    )
    end = jax.jit(algorithm.round)(start, data, cohort)[0]
    for old, new, mask in zip(
        *(jax.tree.leaves(tree) for tree in (start.params, end.params, masks)), strict=True
    ):
        outside = np.broadcast_to(np.asarray(mask) == 0, old.shape)
        held.append(outside.any())
        np.testing.assert_array_equal(np.asarray(old)[outside], np.asarray(new)[outside])
    assert any(held)


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[] if name in ("fiarse", "scalefl") else pytest.mark.slow)
        for name in sorted(hj.METHODS)
    ],
)
def test_evaluation_agrees_between_executions(name):
    data = small.client_data(SIZES, kind="cnn")
    sums = []
    for execution in hj.EXECUTIONS:
        if hj.METHODS[name].extraction == "importance" and execution == "sliced":
            continue
        algorithm = algorithm_of(name, "cnn", execution)
        weights = np.ones(3)
        cohort = algorithm.evaluation.place(
            np.arange(3), np.array([4, 9, 6]), weights, data.num_examples, BATCH
        )
        result = hj.evaluate(algorithm, algorithm.init(KEY), data, data, cohort)
        sums.append(hj.per_client(result, cohort).loss)
    for other in sums[1:]:
        np.testing.assert_allclose(other, sums[0], atol=1e-4)


def test_every_choice_is_in_its_table():
    for method in hj.METHODS.values():
        assert method.policy in {**hj.POLICIES, **hj.UNBUDGETED}
        assert method.extraction in hj.EXTRACTIONS
        assert method.objective in hj.OBJECTIVES
        assert method.summary
