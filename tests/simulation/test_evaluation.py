"""Evaluation is that of each client's own narrow model, with calibrated norms."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.execution import MODES
from hasa_jax.simulation import evaluation, evaluation_pass
from hasa_jax.simulation.views import views
from hasa_jax.supernet import units
from tests.support import small

KEY = jax.random.key(8)
DATA = small.client_data()
SIZES = np.array([12, 3, 5, 5])


@pytest.mark.parametrize("mode", MODES)
def test_evaluation_is_that_of_the_narrow_model(mode):
    program = small.program(small.supernet("mlp"), DATA, mode)
    model, state = program.model, small.initial(program, KEY)
    loss, accuracy = small.evaluate(program, state, DATA, small.cohort(program, DATA, SIZES))
    ranks = {name: np.arange(count) for name, count in model.groups.items()}
    for client, size in enumerate(SIZES):
        kept = units.kept_of_size(model.groups, int(size))
        narrow = units.gather(state.params, model.axes, ranks, kept)
        (logits,), _ = model.narrow(kept, 1)(narrow, DATA.inputs, hj.Context())
        logits, own = np.asarray(logits), slice(*DATA.offsets[client : client + 2])
        hits = np.argmax(logits, -1) == DATA.targets
        right = logits[np.arange(len(logits)), DATA.targets]
        losses = np.log(np.exp(logits).sum(axis=-1)) - right
        assert accuracy[client] == pytest.approx(hits[own].mean())
        assert loss[client] == pytest.approx(losses[own].mean(), rel=1e-5)


NUMBERS = small.client_data((9, 14, 5, 8), kind="perceptron")


@functools.cache
def perceptron(norm, scaler):
    return small.perceptron(norm=norm, scaler=scaler, layers=1)


def losses_of(
    mode, *, norm="static", scaler="none", batch_size=16, extraction="prefix", shared=False
):
    """Evaluates a perceptron of three sizes in round 3; returns the clients' losses."""
    return _losses_of(mode, norm, scaler, batch_size, extraction, shared)


@functools.cache
def _losses_of(mode, norm, scaler, batch_size, extraction, shared):
    program = small.program(
        perceptron(norm, scaler),
        NUMBERS,
        mode,
        method=small.plain(extraction=hj.EXTRACTIONS[extraction]()),
        batch_size=batch_size,
    )
    sizes = np.array([9, 4, 6, 4])
    cohort = small.cohort(program, NUMBERS, sizes)
    state = dataclasses.replace(small.initial(program, KEY), round=jnp.int32(3))
    calibrators = None
    if shared:
        count = 3 if program.extraction.by_size else 4
        chosen = evaluation.representatives(program.extraction, sizes, count)
        calibrators = small.cohort(
            program, NUMBERS, sizes[chosen], clients=chosen, sizes_in_run=sizes
        )
    return small.evaluate(program, state, NUMBERS, cohort, calibrators=calibrators)[0]


# The everyday run has one mode of each; `slow` has both.
@pytest.mark.parametrize("mode", ["masked", pytest.param("sliced", marks=pytest.mark.slow)])
def test_calibration_makes_evaluation_independent_of_the_batch(mode):
    """Static norm: the mean over mixed training batches, whatever a test batch holds."""
    static = [losses_of(mode, batch_size=size) for size in (2, 16)]
    np.testing.assert_allclose(*static, atol=1e-5)
    batch = [losses_of(mode, norm="batch", batch_size=size) for size in (2, 16)]
    assert np.abs(batch[0] - batch[1]).max() > 1e-3


def test_moments_are_those_of_evaluation_whatever_the_scaler():
    """A scaler that acts in training only must not reach the moments of evaluation."""
    losses = [losses_of("masked", scaler=scaler) for scaler in ("train", "none")]
    np.testing.assert_allclose(*losses, atol=1e-5)


EVERYDAY = {("masked", "prefix"), ("sliced", "rolling")}


@pytest.mark.parametrize(
    ("mode", "extraction"),
    [
        pytest.param(mode, name, marks=[] if (mode, name) in EVERYDAY else pytest.mark.slow)
        for mode in MODES
        for name in ("prefix", "rolling", "random")
    ],
)
def test_one_client_of_each_size_calibrates_for_all(mode, extraction):
    own, shared = (losses_of(mode, extraction=extraction, shared=only) for only in (False, True))
    np.testing.assert_allclose(shared, own, atol=1e-5)


@pytest.mark.parametrize(
    ("extraction", "count", "expected"),
    [
        ("prefix", 3, [1, 2, 0]),
        ("rolling", 4, [1, 2, 0, 1]),
        ("random", 4, [0, 1, 2, 3]),
    ],
)
def test_who_represents_all(extraction, count, expected):
    """One client of each size, if clients of one size hold the same; the first is repeated."""
    sizes = np.array([9, 4, 6, 4])
    found = evaluation.representatives(hj.EXTRACTIONS[extraction](), sizes, count)
    assert found.tolist() == expected


def test_moments_are_filled_up_and_cut_at_their_ends():
    moments = {"mean": jnp.array([1.0, 2.0]), "var": jnp.ones((2, 2))}
    larger = {"mean": jax.ShapeDtypeStruct((4,), "f"), "var": jax.ShapeDtypeStruct((3, 2), "f")}
    filled = evaluation_pass.resize_moments(moments, larger)
    np.testing.assert_array_equal(filled["mean"], [1, 2, 0, 0])
    np.testing.assert_array_equal(filled["var"], [[1, 1], [1, 1], [0, 0]])
    small.assert_trees_equal(evaluation_pass.resize_moments(filled, moments), moments)


@pytest.mark.parametrize("hides", [False, True])
def test_views_are_own_sizes_supernet_and_levels(hides):
    objective = hj.OBJECTIVES["masked_cross_entropy" if hides else "cross_entropy"]()
    program = small.program(small.supernet("mlp"), DATA, method=small.plain(objective=objective))
    found = views(program, {"half": 6})
    expected = {
        "validation": (None, False),
        "test": (None, False),
        "supernet_validation": (12, True),
        "supernet_test": (12, True),
    }
    if hides:
        expected["global_test"] = (12, False)
    half = [("half_test", (6, True)), ("half_test", (6, False))]
    found = [(view.name, (view.size, view.all_classes)) for view in found]
    assert found == [*expected.items(), *half[: 1 + hides]]


def window(state, start, size):
    """Returns the narrow parameters of a window of units that starts at `start` in each group."""
    model = small.supernet("mlp")
    ranks = {name: (np.arange(count) - start) % count for name, count in model.groups.items()}
    kept = units.kept_of_size(model.groups, size)
    return kept, units.gather(state.params, model.axes, ranks, kept)


@pytest.mark.parametrize(("draw", "start"), [("last", 1), ("next", 2)])
def test_the_draw_that_was_trained_is_evaluated(draw, start):
    """After two rounds the window of round 1 was trained; that of round 2 was not."""
    dataset, model = small.dataset(), small.supernet("mlp")
    method = small.plain(extraction=hj.EXTRACTIONS["rolling"]())
    algorithm = hj.build(
        method,
        small.Bound(model),
        dataset,
        key=KEY,
        execution=hj.Execution("masked", mesh="clients:1"),
    )
    state = algorithm.init(KEY)
    for _ in range(2):
        state, _ = algorithm.round(state, algorithm.sample(state))
    found = algorithm.evaluate(state, draw=draw)
    for client, size in enumerate(algorithm.allocation.sizes):
        kept, narrow = window(state, start, int(size))
        own = slice(*dataset.test.offsets[client : client + 2])
        (logits,), _ = model.narrow(kept, 1)(narrow, dataset.test.inputs[own], hj.Context())
        hits = np.argmax(logits, -1) == dataset.test.targets[own]
        assert found.accuracy[client] == pytest.approx(hits.mean())
    with pytest.raises(hj.UserError, match="unknown `draw` 'first': use one of last, next"):
        algorithm.evaluate(state, draw="first")


def test_dynamic_sizes_are_those_of_the_draw():
    dataset = small.dataset()
    method = small.plain(policy=hj.POLICIES["levels"]((1.0, 0.25), dynamic=True))
    algorithm = hj.build(
        method,
        small.Bound(small.supernet("mlp")),
        dataset,
        key=KEY,
        execution=hj.Execution("masked", mesh="clients:1"),
    )
    state = algorithm.init(KEY)
    state, _ = algorithm.round(state, algorithm.sample(state))
    last, after = (algorithm.allocation.sizes_at(round) for round in (0, 1))
    assert last.tolist() != after.tolist()
    np.testing.assert_array_equal(algorithm.evaluate(state).sizes, last)
    np.testing.assert_array_equal(algorithm.evaluate(state, draw="next").sizes, after)
