"""Power of choice: candidates with the highest loss train, and nobody else counts."""

import dataclasses
import functools

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.choice import chosen_by_loss
from hasa_jax.simulation.round_inputs import round_inputs
from tests.support import small

EXAMPLES = (7, 30, 12, 3, 9, 22)
SIZES = np.array([12, 6, 12, 6, 6, 12])
DATASET = small.dataset(EXAMPLES)
CHOSEN = 2


def program_of(mode="masked", **options):
    """Makes a program that chooses two of four candidates."""
    made = small.program(
        small.supernet("mlp"),
        DATASET.train,
        mode,
        optimizer=optax.sgd(0.2),
        clients_per_round=CHOSEN,
        **options,
    )
    training = dataclasses.replace(made.training, sampling="power_of_choice", candidates=4)
    return dataclasses.replace(made, training=training)


def drawn(program):
    """Returns the candidates of the first round."""
    trial = small.trial(program, DATASET, sizes=SIZES)
    return cohorts.draw(program, cohorts.training_layout(program, [trial], SIZES), trial, 0)


def losses_of(program, state, cohort):
    """Returns the candidates, and the loss of each on its training examples."""
    clients = small.members(cohort)
    own = small.cohort(program, DATASET.train, SIZES[clients], clients=clients)
    return clients, small.evaluate(program, state, DATASET.train, own)[0]


@pytest.mark.parametrize(
    ("mode", "options"),
    [
        ("masked", {"client_block": 3}),
        pytest.param("sliced", {"client_block": 2}, marks=pytest.mark.slow),
        pytest.param("sliced", {"mesh": "clients:2"}, marks=pytest.mark.slow),
    ],
)
def test_a_round_is_that_of_the_candidates_with_the_highest_loss(mode, options):
    program = program_of(mode, **options)
    cohort = drawn(program)
    assert len(small.members(cohort)) == 4
    start, end, report = small.one_round(program, DATASET.train, cohort)
    clients, losses = losses_of(program, start, cohort)
    best = [clients[i] for i in np.argsort(-losses)[:CHOSEN]]
    arrived = small.by_client(cohort, np.asarray(report.weight)) > 0
    assert [c for c, came in zip(clients, arrived, strict=True) if came] == sorted(best)
    uniform = dataclasses.replace(program.training, sampling="uniform", candidates=0)
    plain = dataclasses.replace(program, training=uniform)
    only = small.cohort(plain, DATASET.train, SIZES[sorted(best)], clients=sorted(best))
    _, expected, _ = small.one_round(plain, DATASET.train, only)
    small.assert_trees_close(end.params, expected.params, atol=1e-6)


def test_a_loss_that_is_no_number_is_the_highest_and_ties_go_to_lower_ids():
    program = program_of()
    cohort = drawn(program)
    state = small.initial(program)
    broken = dataclasses.replace(
        state, params=jax.tree.map(lambda x: np.full_like(x, np.nan), state.params)
    )
    inputs = round_inputs(program, broken, DATASET.train, cohort.layout.num_batches)
    found = jax.jit(functools.partial(chosen_by_loss, program, inputs))(cohort)
    weights = small.by_client(cohort, np.asarray(found.slots.weight))
    assert (weights > 0).tolist() == [True, True, False, False]
    steps = small.by_client(cohort, np.asarray(found.slots.steps))
    assert (steps > 0).tolist() == [True, True, False, False]


def test_a_run_counts_the_chosen_as_asked():
    program = program_of()
    trial = small.trial(program, DATASET, sizes=SIZES)
    (history,) = hj.run_trials(program, [trial], num_rounds=3, reporting=hj.Reporting(eval_every=3))
    record = history.summary[-1]
    assert (record["updates"], record["updates_asked"]) == (3 * CHOSEN, 3 * CHOSEN)
