"""Clients that fail, and means that bear it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax import keys
from hasa_jax.server.aggregation import server_update
from hasa_jax.server.faults import Faults
from hasa_jax.server.robust import robust_sum
from hasa_jax.simulation import cohorts, health
from hasa_jax.supernet import costs
from tests.support import small

SIZES = (7, 30, 12, 3, 9)
UNITS = np.array([12, 5, 7, 5, 12])


def allocation_of(algorithm, data):
    """Returns the allocation of those sizes."""
    uniform = hj.allocate(
        data,
        algorithm.model,
        policy=hj.POLICIES["uniform"](),
        scores=np.zeros(len(SIZES)),
        key=small.KEY,
    )
    finest = max(algorithm.model.groups.values())
    return dataclasses.replace(uniform, units=-(-UNITS * finest // 12))


@functools.cache
def algorithm_of(execution, kind, devices, **knobs):
    """Builds an algorithm once, so that its programs are compiled once."""
    return hj.partial_training(
        small.SUPERNETS[kind](),
        execution=hj.EXECUTIONS[execution],
        batch_size=4,
        devices=devices,
        **knobs,
    )


def one_round(execution="sliced", *, kind="mlp", weights=None, devices=1, seed=0, **knobs):
    """Trains a round; returns the state before and after, and what the clients told."""
    data = small.client_data(SIZES, kind)
    algorithm = algorithm_of(execution, kind, devices, **knobs)
    allocation = allocation_of(algorithm, data)
    cohort = cohorts.draw(
        algorithm, data, allocation, small.KEY, 0, "examples", allocation.units, round=0
    )
    if weights is not None:
        index = cohort.index
        own = np.where(index >= 0, np.asarray(weights, np.float32)[index], 0)
        cohort = dataclasses.replace(cohort, weights=own.astype(np.float32))
    start = algorithm.init(jax.random.key(seed))
    end, report = hj.scan_rounds(algorithm, start, data, cohorts.stacked([cohort]))
    told = dict(zip(cohort.index.ravel().tolist(), np.ravel(report.finite), strict=True))
    return start, end, {client: bool(finite) for client, finite in told.items() if client >= 0}


def reported(execution, **knobs):
    """Trains a round; returns each client's time and count of examples, and the whole report."""
    data, algorithm = small.client_data(SIZES), algorithm_of(execution, "mlp", 1, **knobs)
    allocation = allocation_of(algorithm, data)
    cohort = cohorts.draw(algorithm, data, allocation, small.KEY, 0, "examples", UNITS, round=0)
    start = algorithm.init(small.KEY)
    report = hj.scan_rounds(algorithm, start, data, cohorts.stacked([cohort]))[1]
    rows = zip(
        cohort.index.ravel().tolist(),
        cohort.steps.ravel().tolist(),
        np.ravel(report.metrics.count).tolist(),
        strict=True,
    )
    return {client: (steps, count) for client, steps, count in rows if client >= 0}, report


def test_nothing_is_wrong_by_default():
    _, plain, finite = one_round()
    _, other, _ = one_round(faults=Faults())
    small.assert_trees_equal(plain.params, other.params)
    assert all(finite.values())
    assert len(finite) == len(SIZES)


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
def test_lost_updates_are_as_if_the_clients_had_no_weight(execution):
    faults, key = Faults(dropout=0.5), jax.random.key(0)
    start, end, _ = one_round(execution, faults=faults)
    arrived = [
        jax.random.uniform(keys.address(key, keys.Stream.LOSS, 0, client)) >= 0.5
        for client in range(len(SIZES))
    ]
    assert 0 < sum(arrived) < len(SIZES)
    _, expected, _ = one_round(execution, weights=np.array(SIZES) * np.array(arrived))
    small.assert_trees_close(end.params, expected.params, atol=1e-6)
    _, nothing, _ = one_round(execution, faults=Faults(dropout=1.0))
    small.assert_trees_equal(nothing.params, start.params)


@pytest.mark.parametrize(
    ("execution", "client_block", "local_epochs"),
    [("sliced", None, 1), ("masked", 5, 1), ("masked", 1, 2), ("masked", 5, 2)],
)
def test_a_deadline_cuts_steps_by_the_clients_own_cost(execution, client_block, local_epochs):
    """As if the clients had only the batches that they have time for."""
    faults = Faults(deadline=2.0)
    knobs = {"client_block": client_block, "local_epochs": local_epochs}
    cohort, _ = reported(execution, faults=faults, **knobs)
    algorithm = algorithm_of(execution, "mlp", 1, faults=faults, **knobs)
    table = costs.cost_table(algorithm.model, algorithm.extraction, "macs")
    batches = -(-np.array(SIZES) // 4) * local_epochs
    assert set(cohort) == set(range(len(SIZES)))
    for client, (steps, count) in cohort.items():
        assert steps == int(2.0 / table[UNITS[client]] + 1e-6)
        if steps >= batches[client]:
            assert count == SIZES[client] * local_epochs
        elif SIZES[client] % 4 == 0 or steps < SIZES[client] // 4:
            assert count == 4 * steps
        else:
            assert count < SIZES[client] * local_epochs
    assert any(steps < batches[client] for client, (steps, _) in cohort.items())
    if (execution, client_block) == ("masked", 5):
        alone, _ = reported(execution, faults=faults, client_block=1, local_epochs=local_epochs)
        assert cohort == alone


def test_no_time_for_a_step_moves_nothing():
    start, end, _ = one_round(faults=Faults(deadline=0.01))
    small.assert_trees_equal(end.params, start.params)


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
def test_the_hostile_are_a_share_and_the_same_in_every_execution(execution):
    _, plain, _ = one_round(execution)
    start, end, _ = one_round(execution, faults=Faults(corrupted=1.0, scale=2.0))
    flipped = jax.tree.map(lambda s, p: s - 2.0 * (p - s), start.params, plain.params)
    small.assert_trees_close(end.params, flipped, atol=1e-5)
    _, _, finite = one_round(execution, faults=Faults(corrupted=0.4, corruption="nan"))
    assert sum(not value for value in finite.values()) == 2


def test_noise_is_addressed_by_client_and_round():
    faults = Faults(corrupted=0.4, corruption="noise")
    ends = [one_round(faults=faults, seed=seed)[1].params for seed in (0, 0, 1)]
    small.assert_trees_equal(ends[0], ends[1])
    assert small.max_difference(ends[0], ends[2]) > 0.1


def test_clients_whose_update_is_no_number_can_be_left_out():
    faults = Faults(corrupted=0.4, corruption="nan")
    _, end, finite = one_round(faults=faults, drop_nonfinite=True)
    weights = np.array(SIZES) * np.array([finite[client] for client in range(len(SIZES))])
    _, expected, _ = one_round(weights=weights)
    small.assert_trees_close(end.params, expected.params, atol=1e-6)


def test_a_run_names_the_client_and_the_round_that_spoilt_it():
    dataset = small.dataset(SIZES)
    algorithm = hj.partial_training(
        small.mlp(), batch_size=4, faults=Faults(corrupted=0.2, corruption="nan")
    )
    with pytest.raises(hj.UserError, match=r"client '\w+.*' sent .* not finite in round 1 "):
        hj.run_trials(
            algorithm,
            [hj.Trial(dataset, allocation_of(algorithm, dataset.train), small.KEY, {"seed": 4})],
            num_rounds=3,
            eval_every=3,
        )


@pytest.mark.parametrize(
    "wrong",
    [
        {"dropout": 1.5},
        {"corrupted": -0.1},
        {"deadline": -1.0},
        {"scale": float("inf")},
        {"corruption": "lies"},
    ],
)
def test_faults_out_of_range_are_refused(wrong):
    with pytest.raises(hj.UserError, match=next(iter(wrong))):
        Faults(**wrong)


# Robust means.


def by_hand(values, holds, robust, trim):
    out = np.zeros(values.shape[1])
    for place in range(values.shape[1]):
        own = np.sort(values[holds[:, place], place])
        if not own.size:
            continue
        off = min(
            int(np.floor((0.5 if robust == "median" else trim) * own.size)), (own.size - 1) // 2
        )
        out[place] = own[off : own.size - off].mean()
    return out


@pytest.mark.parametrize("robust", ["trimmed_mean", "median"])
@pytest.mark.parametrize("count", [1, 2, 5, 6])
def test_coordinates_are_decided_by_those_who_hold_them(robust, count):
    generator = np.random.default_rng(count)
    values = generator.normal(size=(count, 40)).astype(np.float32)
    holds = generator.random((count, 40)) < 0.7
    partial = robust_sum(
        {"w": jnp.asarray(values * holds)},
        {"w": jnp.asarray(holds, jnp.float32)},
        jnp.ones(count),
        robust=robust,
        aggregation="coverage",
        trim=0.2,
    )
    expected = by_hand(values, holds, robust, 0.2)
    np.testing.assert_allclose(partial.total["w"], expected, atol=1e-6)
    np.testing.assert_array_equal(partial.weight["w"], holds.any(axis=0))
    if robust == "median":
        everyone = robust_sum(
            {"w": jnp.asarray(values)},
            {"w": jnp.ones((count, 40))},
            jnp.ones(count),
            robust=robust,
            aggregation="full",
            trim=0.0,
        )
        np.testing.assert_allclose(everyone.total["w"], np.median(values, axis=0), atol=1e-6)


def test_who_is_absent_or_no_number_has_no_vote():
    values = jnp.array([[1.0], [2.0], [3.0], [100.0], [jnp.nan]])
    for robust, expected in (("median", 2.0), ("trimmed_mean", 2.0)):
        partial = robust_sum(
            {"w": values},
            {"w": jnp.ones((5, 1))},
            jnp.array([1.0, 1.0, 1.0, 0.0, 1.0]),
            robust=robust,
            aggregation="coverage",
            trim=0.34,
        )
        assert partial.total["w"][0] == expected


def test_norms_are_cut_to_the_median_of_all():
    values = jnp.array([[3.0, 4.0], [0.0, 1.0], [600.0, 800.0]])
    partial = robust_sum(
        {"w": values},
        {"w": jnp.ones((3, 2))},
        jnp.array([1.0, 2.0, 1.0]),
        robust="norm_clip",
        aggregation="coverage",
        trim=0.0,
    )
    np.testing.assert_allclose(partial.total["w"], [3.0 + 3.0, 4.0 + 2.0 + 4.0], rtol=1e-6)
    np.testing.assert_allclose(partial.weight["w"], [4.0, 4.0])


@pytest.mark.parametrize("robust", ["trimmed_mean", "median", "norm_clip"])
def test_robust_rounds_agree_in_every_execution(robust):
    ends = [
        one_round(execution, robust=robust, devices=devices)[1].params
        for execution, devices in (("masked", 1), ("sliced", 1), ("sliced", 2))
    ]
    small.assert_trees_close(ends[0], ends[1], atol=1e-5)
    small.assert_trees_close(ends[1], ends[2], atol=1e-6)


@pytest.mark.parametrize("robust", ["median", "norm_clip"])
def test_what_a_client_does_not_hold_it_cannot_move(robust):
    """Two clients; one sends more than it holds, and nobody holds the second coordinate."""
    momentum = optax.sgd(1.0, momentum=0.9)
    params = {"w": jnp.ones(2)}
    partial = robust_sum(
        {"w": jnp.array([[2.0, 9.0], [2.0, 0.0]])},
        {"w": jnp.array([[1.0, 0.0], [1.0, 0.0]])},
        jnp.ones(2),
        robust=robust,
        aggregation="full",
        trim=0.0,
    )
    state = ({"w": jnp.array([0.0, -1.0])},)
    state = jax.tree.unflatten(jax.tree.structure(momentum.init(params)), jax.tree.leaves(state))
    moved, _ = server_update(params, state, partial, momentum, "full")
    assert moved["w"][1] == 1.0
    np.testing.assert_allclose(moved["w"][0], 3.0)


def test_one_liar_cannot_move_the_median_far():
    _, honest, _ = one_round(robust="median")
    lies = Faults(corrupted=0.2, scale=1e6)
    _, plain, _ = one_round(faults=lies)
    _, median, _ = one_round(faults=lies, robust="median")
    assert small.max_difference(plain.params, honest.params) > 100
    assert small.max_difference(median.params, honest.params) < 1


@pytest.mark.parametrize("knobs", [{"robust": "mode"}, {"robust": "trimmed_mean", "trim": 0.5}])
def test_unknown_means_are_refused(knobs):
    with pytest.raises(hj.UserError, match=r"robust mean|trim"):
        hj.partial_training(small.mlp(), **knobs)


# Sums that lose or repeat a client, and runs that hear of none.


@pytest.mark.parametrize(
    ("weight", "share"), [([[2.0, 3.0]], [[1.0, 1.0]]), ([[5.0, 5.0]], [[1.0, 0.6]])]
)
def test_a_client_that_is_lost_or_counted_twice_is_found(weight, share):
    algorithm = algorithm_of("sliced", "mlp", 1)
    data = small.client_data((2, 3))
    cohort = small.cohort(algorithm.model, data, [12, 12])
    cohort = jax.tree.map(lambda x: np.stack([x, x])[None], cohort)
    told = health.Told(np.ones(cohort.index.shape, bool), np.array(weight), np.array(share))
    with pytest.raises(RuntimeError, match="arrived"):
        health.check_rounds(algorithm, np.array([True]), [(cohort, told)], [None], 0)


@pytest.mark.parametrize("knobs", [{"drop_nonfinite": True}, {"robust": "median"}])
def test_a_run_that_no_client_reaches_is_told(knobs):
    dataset = small.dataset(SIZES)
    algorithm = algorithm_of(
        "sliced", "mlp", 1, faults=Faults(corrupted=1.0, corruption="nan"), **knobs
    )
    allocation = allocation_of(algorithm, dataset.train)
    with pytest.raises(hj.UserError, match="no finite update arrived in rounds 1 to 2"):
        hj.run(algorithm, dataset, allocation, key=small.KEY, num_rounds=2, eval_every=2)


def test_the_server_is_blamed_for_what_the_server_did():
    dataset = small.dataset(SIZES)
    server = optax.chain(optax.scale(1e30), optax.sgd(1e30))
    algorithm = algorithm_of("sliced", "mlp", 1, server_optimizer=server, drop_nonfinite=True)
    allocation = allocation_of(algorithm, dataset.train)
    with pytest.raises(hj.UserError, match="server's learning rate"):
        hj.run(algorithm, dataset, allocation, key=small.KEY, num_rounds=4, eval_every=4)
