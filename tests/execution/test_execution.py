"""Layouts change speed, never results: turns, lanes, devices, kinds, positions, seeds."""

import dataclasses
import itertools

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.client import batches
from hasa_jax.simulation import cohorts
from hasa_jax.supernet import buckets as grouping
from hasa_jax.supernet import costs
from tests.support import small

KEY = jax.random.key(3)
SIZES = (7, 30, 12, 3, 9)
UNITS = np.array([12, 5, 7, 5, 12])
TEXTS = ("lstm", "transformer")


def one_round(kind, units, *, sizes=SIZES, possible=None, execution="sliced", **knobs):
    """Trains a round; returns parameters, and metrics by client."""
    model, data = small.SUPERNETS[kind](), small.client_data(sizes, kind=kind)
    knobs = {"client_optimizer": optax.sgd(0.2), "batch_size": 4} | knobs
    algorithm = hj.partial_training(model, execution=hj.EXECUTIONS[execution], **knobs)
    everyone = np.arange(len(sizes))
    cohort = algorithm.execution.place(
        everyone, np.asarray(units), data.num_examples, data.num_examples, 4, possible
    )
    one = cohorts.stacked([cohort])
    state, metrics = hj.scan_rounds(algorithm, algorithm.init(KEY), data, one)
    order = np.argsort(cohort.index, axis=None)[-len(sizes) :]
    return state.params, jax.tree.map(lambda x: np.ravel(x)[order], metrics)


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
@pytest.mark.parametrize(("client_block", "devices"), [(3, 1), (2, 2)])
def test_blocks_and_devices_change_nothing(execution, client_block, devices):
    alone = one_round("mlp", UNITS, execution=execution, client_block=1)
    spread = one_round(
        "mlp", UNITS, execution=execution, client_block=client_block, devices=devices
    )
    small.assert_trees_close(spread, alone, atol=1e-5)


@pytest.mark.parametrize(
    "kind",
    ["mlp", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("lstm", "perceptron"))],
)
def test_clients_that_share_a_larger_kind_train_as_if_alone(kind):
    finest = max(small.SUPERNETS[kind]().groups.values())
    sizes = tuple(range(3, 3 + finest))
    every = np.arange(1, finest + 1)
    shared = one_round(kind, every, sizes=sizes, possible=every, client_block=2)
    masked = one_round(kind, every, sizes=sizes, execution="masked", client_block=2)
    small.assert_trees_close(shared, masked, atol=2e-5)


def hetero_cohorts(model, count, **knobs):
    """Lays out cohorts of 10 out of 100 clients whose widths are all over the place."""
    execution = hj.EXECUTIONS["sliced"](model, hj.EXTRACTIONS["prefix"](), **knobs)
    generator = np.random.default_rng(0)
    finest = max(model.groups.values())
    kept = generator.integers(finest // 5, finest, size=100)
    sizes = generator.integers(5, 200, size=100)
    for _ in range(count):
        clients = np.sort(generator.choice(100, 10, replace=False))
        cohort = execution.place(clients, kept[clients], sizes[clients], sizes, 10, kept)
        yield clients, kept[clients], sizes[clients], cohort


def test_drawn_cohorts_of_any_width_execute_little_more_than_their_own():
    example = np.zeros((1, 32, 32, 3), np.float32)
    model = hj.from_linen(hj.MODELS["cnn"](num_classes=10, norm="none"), example)
    extraction = hj.EXTRACTIONS["prefix"]()
    table = costs.cost_table(model, extraction, "macs")
    own = executed = 0.0
    for clients, kept, sizes, cohort in hetero_cohorts(model, 20, client_block=1, devices=2):
        batches_of = dict(zip(clients, -(-sizes // 10), strict=True))
        own += sum(table[k] * batches_of[c] for c, k in zip(clients, kept, strict=True))
        for device, turns in enumerate(cohort.turns):
            for client, kind in zip(
                cohort.index[device, :turns, 0], cohort.kind[device], strict=False
            ):
                width = dict(cohort.kinds[kind].shape.sizes)
                executed += table[max(width.values())] * batches_of[client]
    assert executed / own <= 1.15
    assert len(cohort.kinds) <= 16


def test_cohorts_have_one_layout_and_every_client_once():
    model = small.mlp()
    seen = list(hetero_cohorts(model, 30, client_block=3, devices=2))
    layouts = {jax.tree.structure(cohort) for *_, cohort in seen}
    shapes = {tuple(x.shape for x in jax.tree.leaves(cohort)) for *_, cohort in seen}
    assert len(layouts) == len(shapes) == 1
    for clients, kept, _, cohort in seen:
        assert small.members(cohort) == clients.tolist()
        own = dict(zip(clients, kept, strict=True))
        for device, turns in enumerate(cohort.turns):
            assert (cohort.index[device, turns:] == -1).all()
            for number in range(turns):
                shape = cohort.kinds[cohort.kind[device, number]].shape
                lanes = [c for c in cohort.index[device, number] if c >= 0]
                assert lanes
                assert all(own[c] <= max(dict(shape.sizes).values()) for c in lanes)


def test_the_work_is_dealt_out_evenly():
    for *_, cohort in hetero_cohorts(small.mlp(), 20, client_block=1, devices=2):
        assert abs(int(cohort.turns[0]) - int(cohort.turns[1])) <= 4


def test_cohorts_change_and_nothing_is_compiled_again():
    algorithm = hj.partial_training(small.mlp(), batch_size=4)
    dataset = small.dataset((7, 30, 12, 3, 9, 8))
    allocation = hj.allocate(
        dataset.train,
        algorithm.model,
        policy=hj.UNBUDGETED["levels"](),
        budgeted=False,
        dynamic=True,
        scores=np.zeros(6),
        key=KEY,
    )
    state, data = algorithm.init(KEY), jax.device_put(dataset.train)
    possible = cohorts.possible_units(allocation, 8)
    before = hj.scan_rounds._cache_size()
    widths = set()
    for round in range(8):
        cohort = cohorts.draw(
            algorithm, dataset.train, allocation, KEY, 3, "examples", possible, round
        )
        widths.add(tuple(np.ravel(cohort.widths)))
        state, _ = hj.scan_rounds(algorithm, state, data, cohorts.stacked([cohort]))
    assert len(widths) > 2
    assert hj.scan_rounds._cache_size() == before + 1


# One and several numbers of positions, single clients and blocks; `slow` has all combinations.
EVERYDAY = {("lstm", (2, 40), 2)}


@pytest.mark.parametrize(
    ("kind", "positions", "client_block"),
    [
        pytest.param(*case, marks=[] if case in EVERYDAY else pytest.mark.slow)
        for case in itertools.product(TEXTS, [(2, 40), (3,), (14, 16)], [1, 2])
    ],
)
def test_logits_at_the_targets_alone_change_nothing(kind, positions, client_block):
    units = np.full(len(SIZES), max(small.SUPERNETS[kind]().groups.values()))
    everywhere = one_round(kind, units, client_block=client_block)
    picked = one_round(kind, units, client_block=client_block, positions=positions)
    small.assert_trees_close(picked, everywhere, atol=1e-5)


def texts_of(lengths, per_client, length=16, unknown=0.0):
    """Returns texts of some lengths, of which some words are unknown."""
    generator = np.random.default_rng(0)
    known = generator.random((len(lengths), length)) >= unknown
    targets = np.where(np.arange(length) < lengths[:, None], np.where(known, 1, -1), -2)
    offsets = np.concatenate([[0], np.cumsum(per_client)])
    return hj.ClientData(np.zeros_like(targets), targets.astype(np.int32), offsets, 5)


def test_logits_are_computed_at_few_more_positions_than_have_a_target():
    generator = np.random.default_rng(1)
    data = texts_of(generator.integers(2, 15, size=600), (100, 200, 300), unknown=0.1)
    positions = np.array([*batches.usual_positions(data, 32), 32 * 16])
    assert len(positions) == 4
    assert (np.diff(positions) > 0).all()
    executed = useful = 0
    for start, stop in itertools.pairwise(data.offsets):
        targets = generator.permutation(data.targets[start:stop])
        held = [(targets[i : i + 32] >= 0).sum() for i in range(0, len(targets), 32)]
        executed += positions[np.searchsorted(positions, held)].sum()
        useful += np.sum(held)
    assert executed <= 1.2 * useful


def test_texts_without_padding_and_other_targets_have_no_usual_positions():
    full = texts_of(np.full(40, 16), (40,))
    assert batches.usual_positions(full, 8) == ()
    assert batches.usual_positions(texts_of(np.full(40, 16), (40,), unknown=0.5), 8) != ()
    assert batches.usual_positions(texts_of(np.zeros(40), (40,)), 8) == ()
    single = dataclasses.replace(full, targets=full.targets[:, 0])
    assert batches.usual_positions(single, 8) == ()
    nobody = dataclasses.replace(full, targets=full.targets[:0], offsets=np.array([0, 0]))
    assert batches.usual_positions(nobody, 8) == ()


def test_groups_are_the_cheapest_that_any_cut_makes():
    generator = np.random.default_rng(2)
    for _ in range(20):
        costs_of = np.sort(generator.random(7))
        counts = generator.integers(0, 9, size=7)
        ends = grouping.consecutive_groups(costs_of, counts, 3)

        def total(ends):
            return sum(counts[i] * costs_of[ends[np.searchsorted(ends, i)]] for i in range(7))  # noqa: B023

        every = [[*cut, 6] for cut in itertools.combinations(range(6), 2)]
        assert total(ends) == pytest.approx(min(map(total, every)))
    assert grouping.consecutive_groups(np.arange(1.0, 3), np.array([4, 4]), 5) == [0, 1]
    tight = grouping.consecutive_groups(costs_of, counts + 1, 1, within=1.0)
    assert tight == list(range(7))


@pytest.mark.parametrize("devices", [pytest.param(1, marks=pytest.mark.slow), 2])
def test_seeds_in_one_program_are_seeds_one_by_one(devices):
    algorithm = hj.partial_training(small.mlp(), batch_size=4, devices=devices)
    trials = []
    for seed in range(2):
        dataset = small.dataset(tuple(size + seed for size in SIZES))
        allocation = hj.allocate(
            dataset.train,
            algorithm.model,
            policy=hj.POLICIES["uniform"](),
            scores=np.zeros(len(SIZES)),
            key=jax.random.key(seed),
        )
        trials.append(hj.Trial(dataset, allocation, jax.random.key(seed), {"seed": seed}))
    options = {"num_rounds": 2, "clients_per_round": 4}
    together = hj.run_trials(algorithm, trials, **options)
    for trial, history in zip(trials, together, strict=True):
        (alone,) = hj.run_trials(algorithm, [trial], **options)
        small.assert_trees_close(history.state.params, alone.state.params, atol=1e-5)
        assert len(history.metrics) == len(alone.metrics)
        for one, other in zip(history.metrics, alone.metrics, strict=True):
            assert one == {**other, "loss": pytest.approx(other["loss"], abs=1e-5)}


@pytest.mark.slow
def test_seeds_in_one_program_are_calibrated_on_their_own_examples():
    """Rows that fill up the smaller seed are nobody's."""
    model = small.perceptron(norm="static")
    algorithm = hj.partial_training(model, batch_size=4)
    trials = []
    for seed, sizes in enumerate([(7, 30, 12, 3), (90, 190, 40, 9)]):
        dataset = small.dataset(sizes, kind="perceptron")
        allocation = hj.allocate(
            dataset.train,
            model,
            policy=hj.POLICIES["uniform"](),
            scores=np.zeros(4),
            key=jax.random.key(seed),
        )
        trials.append(hj.Trial(dataset, allocation, jax.random.key(seed)))
    together = hj.run_trials(algorithm, trials, num_rounds=1)
    for trial, history in zip(trials, together, strict=True):
        (alone,) = hj.run_trials(algorithm, [trial], num_rounds=1)
        for one, other in zip(history.metrics, alone.metrics, strict=True):
            assert one == {**other, "loss": pytest.approx(other["loss"], abs=1e-5)}


def test_seeds_of_other_clients_are_refused():
    algorithm = hj.partial_training(small.mlp(), batch_size=4)
    trials = []
    for sizes in ((7, 30), (7, 30, 12)):
        dataset = small.dataset(sizes)
        allocation = hj.allocate(
            dataset.train,
            algorithm.model,
            policy=hj.POLICIES["uniform"](),
            scores=np.zeros(len(sizes)),
            key=KEY,
        )
        trials.append(hj.Trial(dataset, allocation, KEY))
    with pytest.raises(hj.UserError, match="same number of clients"):
        hj.run_trials(algorithm, trials, num_rounds=1)


def test_sizes_that_nobody_announced_are_refused():
    algorithm = hj.partial_training(small.mlp(), batch_size=4)
    data = small.client_data(SIZES)
    with pytest.raises(hj.UserError, match="not among the possible ones"):
        algorithm.execution.place(
            np.arange(5), UNITS, data.num_examples, data.num_examples, 4, np.array([12, 5])
        )


def test_seeds_with_cohorts_of_unequal_size_are_refused():
    algorithm = hj.partial_training(small.mlp(), batch_size=4)
    trials = []
    for count in (1, 2):
        dataset = small.dataset(SIZES[:4])
        allocation = hj.allocate(
            dataset.train,
            algorithm.model,
            policy=hj.UNBUDGETED["exclusive"](),
            budgeted=False,
            scores=np.zeros(4),
            key=KEY,
            capacities=[1] * count + [0.5] * (4 - count),
        )
        trials.append(hj.Trial(dataset, allocation, KEY))
    with pytest.raises(hj.UserError, match="different sizes"):
        hj.run_trials(algorithm, trials, num_rounds=1)
