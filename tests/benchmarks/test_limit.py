"""The limit: what is counted, by hand; in which forms it is timed; how it is added up."""

import functools
import inspect
import itertools
import math
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks import forms, limit, measure, rounds, timing, workloads
from benchmarks.base import Engine
from benchmarks.products import Product

INPUTS, HIDDEN, CLASSES, BATCH = 784, 128, 62, 20
PARAMETERS = INPUTS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
CLIENTS, STEPS = 2, 3
WORKLOAD = workloads._workload


@pytest.fixture(scope="module")
def works():
    """A round of two clients of four, with three steps each."""
    workload = workloads.mlp(Engine(), clients=4, clients_per_round=CLIENTS, steps=STEPS)
    return limit.works_of(workload, num_rounds=2)


def product_of(rows, depth, columns, *, output_layer=False):
    """A product of matrices with an equation of its own."""
    shapes = (rows, depth), (depth, columns)
    arrays = [jax.ShapeDtypeStruct(shape, jnp.float32) for shape in shapes]
    return Product(
        kind="dot_general",
        shapes=shapes,
        dtype="float32",
        settings="",
        macs=rows * depth * columns,
        matrices=(1, rows, depth, columns),
        output_layer=output_layer,
        equation=jax.make_jaxpr(jax.lax.dot)(*arrays).jaxpr.eqns[0],
    )


def best_of(seconds):
    """What was found to take so many seconds."""
    form = forms.passes_in_place(1)
    program = jax.jit(form.function)
    return timing.Best(seconds, form, devices=1, copies=2, loop=True, program=program)


def test_useful_operations_of_a_perceptron_by_hand(works):
    (work,) = works.values()
    assert (work.clients, work.steps, work.parameters) == (CLIENTS, CLIENTS * STEPS, PARAMETERS)
    # Forward, and the kernel's gradient; the second layer also hands a gradient down.
    macs = BATCH * (2 * INPUTS * HIDDEN + 3 * HIDDEN * CLASSES)
    assert limit.useful_flops(works) == 2 * macs * CLIENTS * STEPS
    assert len(work.sequence) == sum(work.step.values()) == 5


def test_bytes_of_a_perceptron_by_hand(works):
    (work,) = works.values()
    measured = limit.Measured(
        works,
        {
            **dict.fromkeys(work.step, best_of(1.0)),
            work.sequence: best_of(10.0),
            PARAMETERS: best_of(0.5),
        },
        frozenset(),
    )
    found = limit.limit_of(measured)
    # Plain SGD reads and writes the parameters in every step; the mean reads them once more.
    assert found.optimizer_bytes == 2 * 4 * PARAMETERS * CLIENTS * STEPS
    assert found.mean_bytes == 4 * PARAMETERS * CLIENTS
    assert found.optimizer_seconds == 0.5 * CLIENTS * STEPS
    assert found.mean_seconds == 0.5 / 2 * CLIENTS
    assert found.product_seconds == 5 * 1.0 * CLIENTS * STEPS
    assert found.seconds == found.product_seconds + found.optimizer_seconds + found.mean_seconds


@pytest.mark.parametrize(("name", "optimizer"), [("tiny", 1), ("cnn", 2), ("titles", 3)])
def test_arrays_that_an_optimizer_changes(monkeypatch, name, optimizer):
    # What a step changes: the parameters, and the state that has their shapes.
    made = []
    monkeypatch.setattr(workloads, "_read_titles", lambda: None)
    monkeypatch.setattr(workloads, "_examples", lambda *args, **named: None)
    monkeypatch.setattr(workloads, "_workload", lambda *args, **named: made.append((args, named)))
    workloads.WORKLOADS[name](Engine())
    bound = inspect.signature(WORKLOAD).bind(*made[0][0], **made[0][1]).arguments
    state = bound["optimizer"].init({"w": jnp.zeros((3, 4))})
    like = [leaf for leaf in jax.tree.leaves(state) if leaf.shape == (3, 4)]
    assert bound["optimizer_arrays"] == 1 + len(like) == optimizer


@pytest.mark.parametrize("in_sequence", [8.0, 13.0], ids=["faster", "slower"])
def test_a_step_takes_its_products_apart_or_in_sequence_whichever_is_less(in_sequence):
    inner, output = product_of(2, 3, 4), product_of(2, 4, 5, output_layer=True)
    work = limit.Work(
        clients=1, steps=10, parameters=7, optimizer_floats=14, step={inner: 2, output: 1},
        useful=0.25,
    )  # fmt: skip
    # A quarter of the output layer is useful, and it is no part of the sequence.
    assert work.products == {inner: 20, output: 2.5}
    assert work.sequence == (inner, inner)
    best = {
        inner: best_of(6.0), output: best_of(4.0), work.sequence: best_of(in_sequence),
        7: best_of(0.0), 14: best_of(0.125),
    }  # fmt: skip
    found = limit.limit_of(limit.Measured({5: work}, best, frozenset()))
    assert found.product_seconds == 10 * min(in_sequence, 2 * 6.0) + 2.5 * 4.0
    assert found.sizes_in_sequence == ([5] if in_sequence < 12 else [])
    assert found.optimizer_seconds == 1.25
    assert found.flops == 2 * (20 * 24 + 2.5 * 40)


def test_steps_of_many_products_have_no_sequence():
    def work(times):
        return limit.Work(1, 1, 1, 1, {product_of(2, 3, 4): times}, 1.0)

    assert len(work(64).sequence) == 64
    assert work(65).sequence == ()
    assert work(0.5).sequence == ()


def test_every_form_multiplies_the_same_matrices():
    rows, depth, columns = 3, 4, 5
    product = product_of(rows, depth, columns)
    left, right = np.random.default_rng(0).standard_normal((2, 20), np.float32)
    left, right = left[: rows * depth].reshape(rows, depth), right.reshape(depth, columns)
    expected = left @ right
    found = [forms.as_traced(product), *forms.variants(product, clients=6)]
    assert [form.name for form in found] == [
        "as traced",
        *("matrices " + "".join(marks) for marks in itertools.product("NT", repeat=3)),
        "4 stacked",
        "6 stacked",
    ]
    np.testing.assert_allclose(found[0].function(left, right), expected, rtol=1e-6)
    for form in found[1:9]:
        turned = [mark == "T" for mark in form.name.split()[1]]
        arrays = [left.T if turned[0] else left, right.T if turned[1] else right]
        arrays = arrays[::-1] if turned[2] else arrays
        assert tuple(array.shape for array in arrays) == form.shapes
        outcome = np.asarray(form.function(*arrays))
        np.testing.assert_allclose(outcome.T if turned[2] else outcome, expected, rtol=1e-6)
    for form in found[9:]:
        arrays = [np.stack([array] * form.stack) for array in (left, right)]
        assert tuple(array.shape for array in arrays) == form.shapes
        np.testing.assert_allclose(form.function(*arrays)[-1], expected, rtol=1e-6)


def test_products_in_sequence_have_arrays_of_their_own():
    products = [product_of(2, 3, 4), product_of(2, 3, 4), product_of(4, 2, 3)]
    form = forms.sequence(products)
    assert form.shapes == tuple(shape for one in products for shape in one.shapes)
    arrays = [np.full(shape, place, np.float32) for place, shape in enumerate(form.shapes)]
    outcomes = [np.unique(outcome).tolist() for outcome in form.function(*arrays)]
    assert outcomes == [[0 * 1 * 3], [2 * 3 * 3], [4 * 5 * 2]]


def test_a_loop_computes_every_time():
    form = forms.as_traced(product_of(16, 32, 64))
    arrays = [jnp.ones(shape) for shape in form.shapes]
    program = jax.jit(functools.partial(forms.repeated, form)).lower(jnp.int32(3), *arrays)
    np.testing.assert_array_equal(program.compile()(jnp.int32(3), *arrays), np.full((16, 64), 32))
    # A product outside the loop would be computed once.
    blocks = re.split(r"\n\n", program.compile().as_text())
    entry = [block for block in blocks if block.startswith("ENTRY")]
    assert len(entry) == 1
    assert "while(" in entry[0]
    assert " dot(" not in entry[0]
    assert sum(" dot(" in block for block in blocks) == 1


def test_passes_in_place_go_on_from_the_last():
    form = forms.passes_in_place(8)
    found = jax.jit(functools.partial(forms.repeated, form))(jnp.int32(5), jnp.zeros(8))
    np.testing.assert_array_equal(found, np.full((1, 8), 5.0))


def test_a_stack_has_the_clients_of_a_round_and_fits():
    product = product_of(2, 3, 4)
    one, two = (limit.Work(clients, 1, 1, 1, {product: 1}, 1.0) for clients in (3.0, 4.0))
    assert limit._stack(product, {1: one, 2: two}) == 7
    assert limit._stack(product, {1: one._replace(clients=1000.0)}) == 64
    assert limit._stack(product_of(2**14, 2**13, 2**13), {}) == 1


def test_what_takes_most_is_tried_in_every_form():
    products = [product_of(1, 1, number) for number in range(1, 31)]
    times = dict.fromkeys(products, 1.0)
    best = {product: best_of(0.5**product.macs) for product in products}
    # 1 - 1/32 of all is more than .95, and 1 - 1/16 is not.
    assert limit._most_costly(times, best) == products[:5]
    even = {product: best_of(1.0) for product in products}
    assert len(limit._most_costly(times, even)) == 16


def test_timing_again_keeps_the_least():
    form = forms.passes_in_place(4)
    program = jax.jit(functools.partial(forms.repeated, form))
    slow = timing.Best(60.0, form, devices=1, copies=2, loop=True, program=program)
    assert 0 < timing.again(slow).seconds < 60.0
    fast = slow._replace(seconds=1e-12)
    assert timing.again(fast) == fast


def test_the_fastest_form_is_found():
    # A product of one number, and one of a billion operations.
    small, large = (forms.as_traced(product_of(side, side, side)) for side in (1, 800))
    found = timing.fastest([large, small], copies=2)
    assert found.form is small
    assert found.devices in (1, 2)
    assert 0 < found.seconds < math.inf


@pytest.mark.parametrize("repeats", [1, 5])
def test_rounds_are_timed_before_and_after_the_limit(monkeypatch, repeats):
    seen = []
    monkeypatch.setattr(limit, "measure", lambda works, copies: seen.append("limit") or works)
    monkeypatch.setattr(limit, "again", lambda measured: seen.append("again"))
    monkeypatch.setattr(limit, "limit_of", lambda measured: None)

    def one_round():
        seen.append("round")
        return float(len(seen))

    timed, _ = measure._in_turns(one_round, repeats, {1: None})
    assert seen.count("round") == repeats == len(timed["all_seconds"])
    assert seen.index("limit") == repeats // 2
    assert seen[-1] == "again"


def test_shares_of_several_runs():
    def record(workload, median, least):
        return {
            "workload": workload, "limit": {}, "fraction_of_limit": median,
            "fraction_of_least": least,
        }  # fmt: skip

    records = [record("mlp", 0.5, 0.75), record("tiny", 0.25, 0.25), record("mlp", 0.625, 0.625)]
    assert rounds.fractions([*records, {"workload": "cnn"}]) == [
        "mlp: 2 runs; of the median round 50.0% to 62.5%, of the least 62.5% to 75.0%",
        "tiny: 1 runs; of the median round 25.0% to 25.0%, of the least 25.0% to 25.0%",
    ]
