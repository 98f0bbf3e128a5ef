"""A round: against a plain loop, between ways to run it, and its invariances."""

import functools
import traceback
from pathlib import Path

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax import keys
from hasa_jax.client import batches
from hasa_jax.execution import MODES
from hasa_jax.simulation import cohorts
from hasa_jax.supernet import units
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.types import LinearHead
from tests.support import small

KEY = jax.random.key(11)
RATE, EPOCHS, BATCH = 0.3, 2, 4
SGD = optax.sgd(RATE)
DATA = small.client_data()
SIZES = {"uniform": [6, 6, 6, 6], "mixed": [12, 3, 6, 5], "full": [12, 12, 12, 12]}


@functools.cache
def program_of(mode, aggregation):
    """Makes a program once, so that it is compiled once."""
    return small.program(
        small.supernet("mlp"),
        DATA,
        mode,
        method=small.plain(aggregation=aggregation),
        optimizer=SGD,
        local_epochs=EPOCHS,
    )


def place(program, sizes, weights=None):
    """Places all clients; cohorts of all sizes share a layout."""
    every = np.unique(np.concatenate(list(SIZES.values())))
    return small.cohort(program, DATA, sizes, weights=weights, sizes_in_run=every)


def after(program, cohort, data=DATA):
    """Returns the parameters after a round, and the clients' report."""
    _, end, report = small.one_round(program, data, cohort, KEY)
    return end.params, report


def numpy_round(params, sizes, weights, aggregation="coverage"):
    """The executable specification: prefix subnets of the MLP, no vmap, no masks, no autodiff."""
    names = ["Dense_0", "Dense_1", "Dense_2"]
    old = [[np.asarray(params[n][k], np.float64) for k in ("kernel", "bias")] for n in names]
    total = [[np.zeros_like(x) for x in layer] for layer in old]
    held = [[np.zeros_like(x) for x in layer] for layer in old]
    for client, size in enumerate(sizes):
        first, second = size, -(-8 * size // 12)
        cuts = [
            (slice(None), slice(first)),
            (slice(first), slice(second)),
            (slice(second), slice(None)),
        ]
        layers = [[w[cut].copy(), b[cut[1]].copy()] for (w, b), cut in zip(old, cuts, strict=True)]
        key = batches.batch_key(KEY, 0, client)
        indices, valid, _ = small.jitted_batches(key, DATA, client, 8, BATCH, EPOCHS)
        for number, (step, used) in enumerate(zip(np.asarray(indices), valid, strict=True)):
            batch = step[np.asarray(used)]
            if not batch.size:
                assert number >= EPOCHS * DATA.num_examples[client] // BATCH
                continue
            x, y = np.asarray(DATA.inputs, np.float64)[batch], DATA.targets[batch]
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
                layers[depth] = [w - RATE * acts[depth].T @ delta, b - RATE * delta.sum(0)]
                delta = down
        for depth, cut in enumerate(cuts):
            for part, where in enumerate((cut, cut[1])):
                total[depth][part][where] += weights[client] * layers[depth][part]
                held[depth][part][where] += weights[client]
    mass = sum(weights)

    def mean(t, h, o):
        if aggregation == "full":
            return (t + (mass - h) * o) / mass
        return np.where(h > 0, t / np.where(h > 0, h, 1), o)

    return {
        n: {k: mean(total[i][j], held[i][j], old[i][j]) for j, k in enumerate(("kernel", "bias"))}
        for i, n in enumerate(names)
    }


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("aggregation", ["coverage", "full"])
@pytest.mark.parametrize("sizes", sorted(SIZES))
def test_a_round_equals_the_numpy_loop(sizes, aggregation, mode):
    program = program_of(mode, aggregation)
    end, _ = after(program, place(program, SIZES[sizes]))
    start = small.initial(program, KEY).params
    weights = DATA.num_examples.astype(float)
    assert small.max_difference(end, start) > 0.01
    expected = numpy_round(start, SIZES[sizes], weights, aggregation)
    small.assert_trees_close(end, expected, atol=1e-5)


@pytest.mark.parametrize("mode", MODES)
def test_width_one_is_fedavg(mode):
    """All full: the example-weighted mean of local models, each trained by itself."""
    program = program_of(mode, "coverage")
    end, _ = after(program, place(program, SIZES["full"]))
    start = small.initial(program, KEY).params
    updates = []
    for client in range(4):
        key = batches.batch_key(KEY, 0, client)
        own = small.jitted_batches(key, DATA, client, 8, BATCH, EPOCHS)
        updates.append(small.jitted_training(program.model, start, DATA, own, SGD)[0])
    q = DATA.num_examples / DATA.num_examples.sum()
    expected = jax.tree.map(
        lambda p, *us: p + sum(w * u for w, u in zip(q, us, strict=True)), start, *updates
    )
    small.assert_trees_close(end, expected, atol=1e-6)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("aggregation", ["coverage", "full"])
def test_coordinates_that_no_client_holds_keep_their_bits(mode, aggregation):
    program = program_of(mode, aggregation)
    model, start = program.model, small.initial(program, KEY).params
    end, _ = after(program, place(program, [5, 3, 3, 5]))
    ranks = {name: np.arange(count) for name, count in model.groups.items()}
    held = units.masks(model.shapes, model.axes, ranks, units.kept_of_size(model.groups, 5))

    def same_outside(before, after, mask):
        outside = np.broadcast_to(np.asarray(mask) == 0, before.shape)
        np.testing.assert_array_equal(np.asarray(before)[outside], np.asarray(after)[outside])

    jax.tree.map(same_outside, start, end, held)
    inside = end["Dense_0"]["kernel"][:, :5] - start["Dense_0"]["kernel"][:, :5]
    assert float(jnp.abs(inside).min()) > 0


@pytest.mark.parametrize("mode", MODES)
def test_clients_without_weight_are_inert(mode):
    program = program_of(mode, "coverage")
    idle = place(program, SIZES["mixed"], weights=[7, 0, 12, 1])
    broken = DATA.replace(inputs=np.array(DATA.inputs))
    broken.inputs[DATA.offsets[1] : DATA.offsets[2]] = np.nan
    clean, _ = after(program, idle)
    small.assert_trees_equal(clean, after(program, idle, broken)[0])
    everyone, _ = after(program, place(program, SIZES["mixed"]))
    assert small.max_difference(clean, everyone) > 1e-4


def test_permuting_the_cohort_changes_nothing():
    program, order = program_of("masked", "coverage"), np.array([2, 0, 3, 1])
    cohort = place(program, SIZES["mixed"])
    one, report = after(program, cohort)
    other, permuted = after(program, small.permuted(cohort, order))
    small.assert_trees_close(one, other, atol=1e-6)
    metrics = jax.tree.map(lambda x: x[:, order], report.metrics)
    small.assert_trees_close(metrics, permuted.metrics, atol=1e-4)


def test_uniform_weights_ignore_numbers_of_examples():
    program = program_of("masked", "coverage")
    end, _ = after(program, place(program, SIZES["full"], weights=np.ones(4)))
    start = small.initial(program, KEY).params
    small.assert_trees_close(end, numpy_round(start, SIZES["full"], np.ones(4)), atol=1e-5)


def test_reports_share_out_the_weight():
    program = program_of("masked", "coverage")
    cohort = place(program, SIZES["mixed"])
    report = small.by_client(cohort, after(program, cohort)[1])
    np.testing.assert_array_equal(report.weight, DATA.num_examples)
    np.testing.assert_allclose(report.share, DATA.num_examples / DATA.num_examples.sum())
    np.testing.assert_array_equal(report.metrics.count, EPOCHS * DATA.num_examples)
    assert report.finite.all()


def test_scan_equals_a_loop_of_rounds():
    program = small.program(
        small.supernet("mlp"), DATA, server_optimizer=optax.adam(0.1), optimizer=SGD
    )
    cohort = small.cohort(program, DATA, SIZES["mixed"])
    start = small.initial(program, KEY)
    scanned, reports = hj.scan_rounds(program, start, DATA, cohorts.stack([cohort] * 3))
    looped = start
    for _ in range(3):
        looped, last = hj.scan_rounds(program, looped, DATA, cohorts.stack([cohort]))
    small.assert_trees_close(scanned.params, looped.params, atol=1e-6)
    last_of_scan = jax.tree.map(lambda x: x[-1:], reports.metrics)
    small.assert_trees_close(last_of_scan, last.metrics, atol=1e-4)
    assert int(scanned.round) == 3
    assert jax.random.key_data(scanned.key).tolist() == jax.random.key_data(KEY).tolist()


def both_modes(kind, **options):
    """Returns the parameters after a round of mixed sizes, masked and sliced."""
    data = small.client_data(kind=kind)
    ends = []
    for mode in MODES:
        program = small.program(small.supernet(kind), data, mode, **options)
        finest = max(program.model.groups.values())
        cohort = small.cohort(program, data, [finest, finest // 3, finest, finest // 3])
        ends.append(small.one_round(program, data, cohort, KEY)[1].params)
    return ends


@pytest.mark.parametrize(
    ("kind", "aggregation", "optimizer"),
    [
        ("lstm", "coverage", optax.adam(0.01)),
        pytest.param("mlp", "coverage", SGD, marks=pytest.mark.slow),
        pytest.param("mlp", "full", optax.adam(0.01), marks=pytest.mark.slow),
        pytest.param("lstm", "full", SGD, marks=pytest.mark.slow),
    ],
)
def test_masked_equals_sliced(kind, aggregation, optimizer):
    method = small.plain(aggregation=aggregation)
    small.assert_trees_close(*both_modes(kind, method=method, optimizer=optimizer), atol=1e-5)


def backwards(sent):
    """An order that is no prefix and differs by client: what extraction may do."""
    key = keys.address(sent.key, keys.Stream.ORDER, sent.round, sent.client)
    shift = jax.random.randint(key, (), 0, 5) + sent.round
    return {name: (shift - jnp.arange(size)) % size for name, size in sent.model.groups.items()}


@pytest.mark.parametrize("kind", ["mlp", pytest.param("lstm", marks=pytest.mark.slow)])
def test_masked_equals_sliced_for_any_order(kind):
    method = small.plain(extraction=units.ranked(backwards))
    small.assert_trees_close(*both_modes(kind, method=method, optimizer=SGD), atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("scaler", ["always", "none", "train"])
def test_the_scaler_acts_in_both_modes_alike(scaler):
    data, ends = small.client_data(kind="lstm"), []
    for model, mode in [(small.lstm(scaler=scaler), mode) for mode in MODES] + [
        (small.lstm(), "masked")
    ]:
        program = small.program(model, data, mode)
        cohort = small.cohort(program, data, SIZES["mixed"])
        ends.append(small.one_round(program, data, cohort, KEY)[1].params)
    small.assert_trees_close(*ends[:2], atol=1e-5)
    assert (small.max_difference(ends[0], ends[2]) > 1e-3) == (scaler != "none")


class Raising(nn.Module):
    """A model that raises once it is asked to."""

    text: bool = False
    hidden: int = 4
    asked = False  # Of the class: a module's own fields are frozen.

    @nn.compact
    def __call__(self, x, context=None):
        if Raising.asked:
            raise ZeroDivisionError("the model's own mistake")
        enter = nn.with_logical_partitioning(nn.initializers.normal(0.1), (None, "hidden"))
        leave = nn.with_logical_partitioning(nn.initializers.normal(0.1), ("hidden", None))
        width = 1 if self.text else x.shape[-1]
        x = x.astype(jnp.float32)[..., None] if self.text else x
        hidden = nn.relu(x @ self.param("enter", enter, (width, self.hidden)))
        kernel = self.param("leave", leave, (self.hidden, small.NUM_CLASSES))
        if self.text and context is not None and context.defer_logits:
            return LinearHead(hidden, kernel, jnp.zeros(small.NUM_CLASSES))
        return hidden @ kernel


LIBRARY = Path(hj.__file__).parent
MOST_FRAMES = 14
"""A user who reads a traceback of their own mistake passes no more frames of the library."""


@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("text", [False, True])
def test_a_mistake_in_a_model_is_few_frames_away(text, mode, lanes, monkeypatch):
    data = small.client_data(kind="lstm" if text else "mlp")
    model = supernet_of(Raising(text), data.inputs)
    program = small.program(model, data, mode, client_block=lanes, chunk=8 if text else 0)
    cohort = cohorts.stack([small.cohort(program, data, [4, 2, 4, 2])])
    state = jax.eval_shape(functools.partial(small.initial, program))
    monkeypatch.setattr(Raising, "asked", True)
    with pytest.raises(ZeroDivisionError, match="own mistake") as caught:
        hj.scan_rounds.trace(program, state, data, cohort)
    frames = [
        frame
        for frame in traceback.extract_tb(caught.tb)
        if Path(frame.filename).is_relative_to(LIBRARY)
    ]
    names = [frame.name for frame in frames]
    for frame in frames:
        print(f"{Path(frame.filename).relative_to(LIBRARY)}:{frame.lineno} {frame.name}")
    inside = names[names.index("scan_rounds") + 1 :] if "scan_rounds" in names else names
    assert len(inside) <= MOST_FRAMES
    assert {"train_round", "train_client", "local_training"} <= set(inside)


def test_masked_execution_is_one_program_for_all_sizes():
    """Masked execution compiles once: a policy changes only numbers."""
    program = program_of("masked", "coverage")
    placed = [small.cohort(program, DATA, sizes) for sizes in SIZES.values()]
    assert len({jax.tree.structure(cohort) for cohort in placed}) == 1
    assert placed[0].slots.client.shape == (1, 4, 1)
    assert small.members(placed[0]) == [0, 1, 2, 3]


def test_cohorts_change_and_nothing_is_compiled_again():
    dataset = small.dataset((7, 30, 12, 3, 9, 8))
    policy = hj.POLICIES["levels"]((1.0, 0.5), dynamic=True)
    program = small.program(
        small.supernet("mlp"), dataset.train, "sliced", optimizer=SGD, clients_per_round=3
    )
    trial = small.trial(program, dataset, policy=policy)
    layout = cohorts.training_layout(program, [trial], cohorts.sizes_in_run([trial.allocation], 8))
    state, data = small.initial(program), jax.device_put(dataset.train)
    before = hj.scan_rounds._cache_size()
    seen = set()
    for round in range(8):
        cohort = cohorts.draw(program, layout, trial, round)
        seen.add(tuple(np.ravel(cohort.slots.width)))
        state, _ = hj.scan_rounds(program, state, data, cohorts.stack([cohort]))
    assert len(seen) > 2
    assert hj.scan_rounds._cache_size() == before + 1
