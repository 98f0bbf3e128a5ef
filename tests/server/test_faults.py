"""Clients that fail, and means that bear it."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax import keys
from hasa_jax.server.faults import Faults, as_sent, hostile_clients, steps_in_time
from hasa_jax.simulation import cohorts
from hasa_jax.supernet import costs
from tests.support import small

EXAMPLES = (7, 30, 12, 3, 9)
SIZES = np.array([12, 5, 5, 5, 12])
DATA = small.client_data(EXAMPLES)


@functools.cache
def program_of(mode, *, robust="none", **options):
    """Makes a program once, so that it is compiled once."""
    return small.program(
        small.supernet("mlp"), DATA, mode, method=small.plain(robust=robust), **options
    )


def drawn(program, seed=0, **slots):
    """Returns the first cohort; `slots` replace its entries client by client."""
    key = jax.random.key(seed)
    trial = small.trial(program, small.dataset(EXAMPLES), sizes=SIZES, key=key)
    cohort = cohorts.draw(program, cohorts.training_layout(program, [trial], SIZES), trial, 0)
    clients = cohort.slots.client
    own = {
        name: np.where(clients >= 0, np.asarray(values)[clients], 0).astype(
            getattr(cohort.slots, name).dtype
        )
        for name, values in slots.items()
    }
    return dataclasses.replace(cohort, slots=dataclasses.replace(cohort.slots, **own))


def one_round(program, *, seed=0, **slots):
    """Trains a round; returns the parameters around it, and whose update was finite."""
    cohort = drawn(program, seed, **slots)
    start, end, report = small.one_round(program, DATA, cohort, jax.random.key(seed))
    return start.params, end.params, small.by_client(cohort, report.finite)


def test_nothing_is_wrong_by_default():
    assert hj.Training().faults == Faults() == Faults(dropout=0, deadline=0, corrupted=0)
    assert one_round(program_of("sliced"))[2].tolist() == [True] * len(EXAMPLES)


def arriving(seed):
    """Returns whose update arrives in the first round at a `dropout` of .5 `[N]`."""
    key = jax.random.key(seed)
    draws = [jax.random.uniform(keys.address(key, keys.Stream.LOSS, 0, c)) for c in range(5)]
    return np.array(draws) >= 0.5


@functools.cache
def seeds_of_losses():
    """Returns a seed with which some updates are lost, and one with which all are."""
    counts = [int(arriving(seed).sum()) for seed in range(100)]
    return next(s for s, n in enumerate(counts) if 0 < n < 5), counts.index(0)


# What a fault does is the same in both modes; the everyday run has one of them.
EITHER = pytest.mark.parametrize("mode", ["masked", pytest.param("sliced", marks=pytest.mark.slow)])


@EITHER
def test_lost_updates_are_as_if_the_clients_had_no_weight(mode):
    losing, (some, none) = program_of(mode, faults=Faults(dropout=0.5)), seeds_of_losses()
    _, end, _ = one_round(losing, seed=some)
    arrived = DATA.num_examples * arriving(some)
    _, expected, _ = one_round(program_of(mode), seed=some, weight=arrived)
    small.assert_trees_close(end, expected, atol=1e-6)
    start, nothing, _ = one_round(losing, seed=none)
    small.assert_trees_equal(nothing, start)


@functools.partial(jax.jit, static_argnums=0)
def sent(faults, key, round, client):
    """Returns the update and the weight that arrive of a client that sends ones."""
    state = hj.ServerState(None, None, round, key)
    return as_sent(faults, state, client, True, {"w": jnp.ones(3)}, jnp.float32(2))


def test_certain_loss_loses_every_update():
    for client in range(5):
        assert sent(Faults(dropout=1.0), small.KEY, 0, client)[1] == 0


def test_noise_is_addressed_by_seed_round_and_client():
    noise = Faults(corrupted=1.0, corruption="noise", scale=2.0)
    found = [
        tuple(sent(noise, jax.random.key(seed), round, client)[0]["w"].tolist())
        for seed in (0, 1)
        for round in (0, 1)
        for client in (0, 1)
    ]
    assert len(set(found)) == len(found)
    again = sent(noise, jax.random.key(0), 0, 0)[0]["w"]
    assert tuple(again.tolist()) == found[0]
    assert 1 < np.std(found) < 4


def test_no_time_for_a_step_moves_nothing():
    program = program_of("masked")
    steps = steps_in_time(Faults(deadline=0.01), program.model, program.extraction, SIZES)
    assert steps.tolist() == [0] * len(SIZES)
    start, end, _ = one_round(program, steps=steps)
    small.assert_trees_equal(end, start)


def steps_and_counts(program):
    """Trains a round; returns each client's steps in time, and the examples that it counted."""
    cohort = drawn(program)
    report = small.one_round(program, DATA, cohort)[2]
    found = small.by_client(cohort, (cohort.slots.steps, report.metrics.count))
    return [values.tolist() for values in found]


DEADLINE = Faults(deadline=2.0)


@pytest.mark.parametrize(
    ("mode", "client_block", "local_epochs"),
    [
        ("sliced", 1, 1),
        pytest.param("masked", 5, 1, marks=pytest.mark.slow),
        ("masked", 1, 2),
        ("masked", 5, 2),
    ],
)
def test_a_deadline_cuts_steps_by_the_clients_own_cost(mode, client_block, local_epochs):
    """As if the clients had only the batches that they have time for."""
    options = {"faults": DEADLINE, "local_epochs": local_epochs}
    program = program_of(mode, client_block=client_block, **options)
    steps, counts = steps_and_counts(program)
    table = costs.cost_table(program.model, program.extraction, "macs")
    batches = -(-np.array(EXAMPLES) // 4) * local_epochs
    for client, (own, count) in enumerate(zip(steps, counts, strict=True)):
        assert own == int(2.0 / table[SIZES[client]] + 1e-6)
        if own >= batches[client]:
            assert count == EXAMPLES[client] * local_epochs
        elif EXAMPLES[client] % 4 == 0 or own < EXAMPLES[client] // 4:
            assert count == 4 * own
        else:
            assert count < EXAMPLES[client] * local_epochs
    assert (np.array(steps) < batches).any()
    if client_block == 5:
        one_by_one = program_of(mode, client_block=1, **options)
        assert steps_and_counts(one_by_one) == [steps, counts]


@EITHER
def test_flipped_updates_are_scaled_and_turned_around(mode):
    _, plain, _ = one_round(program_of(mode))
    start, end, _ = one_round(program_of(mode, faults=Faults(corrupted=1.0, scale=2.0)))
    flipped = jax.tree.map(lambda s, p: s - 2.0 * (p - s), start, plain)
    small.assert_trees_close(end, flipped, atol=1e-5)


NAN = Faults(corrupted=0.4, corruption="nan")


@pytest.mark.parametrize("mode", ["masked", "sliced"])
def test_the_hostile_are_a_share_and_the_same_in_every_execution(mode):
    _, end, finite = one_round(program_of(mode, faults=NAN, drop_nonfinite=True))
    chosen = hostile_clients(NAN, jax.random.key(0), 5).tolist()
    assert sum(chosen) == 2
    assert finite.tolist() == [not bad for bad in chosen]
    # Those whose update is no number are left out.
    _, expected, _ = one_round(program_of(mode), weight=DATA.num_examples * finite)
    small.assert_trees_close(end, expected, atol=1e-6)


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
    with pytest.raises(hj.UserError, match=f"`{next(iter(wrong))}`"):
        Faults(**wrong)


@pytest.mark.parametrize(
    "robust",
    ["median", *(pytest.param(r, marks=pytest.mark.slow) for r in ("trimmed_mean", "norm_clip"))],
)
def test_robust_rounds_agree_in_every_execution(robust):
    _, masked, _ = one_round(program_of("masked", robust=robust))
    _, spread, _ = one_round(program_of("sliced", robust=robust, mesh="clients:2"))
    small.assert_trees_close(masked, spread, atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("robust", ["trimmed_mean", "median", "norm_clip"])
def test_robust_rounds_agree_on_one_device_and_two(robust):
    _, one, _ = one_round(program_of("sliced", robust=robust))
    _, two, _ = one_round(program_of("sliced", robust=robust, mesh="clients:2"))
    small.assert_trees_close(one, two, atol=1e-6)


def test_one_liar_cannot_move_the_median_far():
    lies = Faults(corrupted=0.2, scale=1e6)
    _, honest, _ = one_round(program_of("masked", robust="median"))
    _, mean, _ = one_round(program_of("masked", faults=lies))
    _, median, _ = one_round(program_of("masked", robust="median", faults=lies))
    assert small.max_difference(mean, honest) > 100
    assert small.max_difference(median, honest) < 1
