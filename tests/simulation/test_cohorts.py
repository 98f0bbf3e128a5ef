"""Which clients take part in a round, at which size, and with which weight."""

import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.server.faults import Faults
from hasa_jax.simulation import cohorts
from hasa_jax.supernet import costs
from tests.support import small

DATASET = small.dataset((7, 30, 12, 3, 9, 8))


def drawing(*, method=None, policy=None, budget=None, **training):
    """Returns a program and a trial."""
    program = small.program(small.supernet("mlp"), DATASET.train, method=method, **training)
    return program, small.trial(program, DATASET, policy=policy, budget=budget)


def draw(program, trial, round=0):
    sizes = cohorts.sizes_in_run([trial.allocation], 40)
    return cohorts.draw(program, cohorts.training_layout(program, [trial], sizes), trial, round)


def test_cohorts_are_drawn_without_replacement_from_the_seed():
    program, trial = drawing(clients_per_round=3)

    def drawn(seed, round):
        return tuple(small.members(draw(program, trial._replace(key=jax.random.key(seed)), round)))

    seen = [drawn(0, round) for round in range(40)]
    assert all(len(set(clients)) == 3 for clients in seen)
    assert set().union(*seen) == set(range(6))
    assert seen[5] == drawn(0, 5)
    assert [drawn(1, round) for round in range(40)] != seen


@pytest.mark.parametrize("weights", ["examples", "uniform"])
def test_weights_are_numbers_of_examples_or_equal(weights):
    cohort = draw(*drawing(method=small.plain(client_weights=weights)))
    found = small.by_client(cohort, cohort.slots.weight)
    examples = DATASET.train.num_examples
    np.testing.assert_array_equal(found, examples if weights == "examples" else np.ones(6))


def test_a_deadline_gives_every_client_its_own_steps():
    program, trial = drawing(
        policy=hj.POLICIES["levels"]((1.0, 0.5)), faults=Faults(deadline=4.0), clients_per_round=5
    )
    cohort = draw(program, trial)
    table = costs.cost_table(program.model, program.extraction, "macs")
    clients, steps = small.by_client(cohort, (cohort.slots.client, cohort.slots.steps))
    own = table[trial.allocation.sizes[clients]]
    np.testing.assert_array_equal(steps, np.floor(4 / own + 1e-6))
    assert len(set(steps.tolist())) == 2


def exclusive(*, full, **training):
    """Returns a program and a trial in which so many clients hold the supernet."""
    capacities = (1.0,) * full + (0.5,) * (6 - full)
    budget = hj.BudgetSpec(capacities=capacities)
    return drawing(policy=hj.POLICIES["exclusive"](), budget=budget, **training)


def test_who_takes_no_part_is_never_drawn():
    assert small.members(draw(*exclusive(full=2))) == [0, 1]
    drawn = {c for r in range(20) for c in small.members(draw(*exclusive(full=2), r))}
    assert drawn == {0, 1}


@pytest.mark.parametrize("count", [3, 99])
def test_more_clients_than_take_part_are_refused(count):
    with pytest.raises(hj.UserError, match=f"`clients_per_round` is {count}: 2 clients take part"):
        draw(*exclusive(full=2, clients_per_round=count))


def test_seeds_with_cohorts_of_unequal_size_are_refused():
    program, one = exclusive(full=1)
    _, two = exclusive(full=2)
    with pytest.raises(hj.UserError, match=r"different sizes.*`seeds_per_program` 1"):
        cohorts.training_layout(program, [one, two], np.array([12, 6]))


def test_sizes_in_run_are_those_of_all_rounds_and_seeds():
    _, fixed = drawing(policy=hj.POLICIES["levels"]((1.0, 0.5)))
    np.testing.assert_array_equal(
        np.sort(cohorts.sizes_in_run([fixed.allocation], 9)), [6, 6, 6, 12, 12, 12]
    )
    _, redrawn = drawing(policy=hj.POLICIES["levels"]((1.0, 0.5, 0.25), dynamic=True))
    found = cohorts.sizes_in_run([redrawn.allocation, fixed.allocation], 3)
    # The evaluation after the last round counts as a round.
    every = [redrawn.allocation.sizes_at(round) for round in range(4)]
    expected = np.concatenate([*every, fixed.allocation.sizes])
    np.testing.assert_array_equal(np.sort(found), np.sort(expected))


def test_the_sizes_of_many_rounds_are_counted_in_proportion():
    _, redrawn = drawing(policy=hj.POLICIES["levels"]((1.0, 0.5), (3, 1), dynamic=True))
    found = cohorts.sizes_in_run([redrawn.allocation], 999)
    assert 2000 <= len(found) <= 2002
    assert np.mean(found == 12) == pytest.approx(0.75, abs=0.02)


def test_stacked_cohorts_have_an_axis_of_rounds():
    program, trial = drawing(clients_per_round=2)
    drawn = [draw(program, trial, round) for round in range(3)]
    stacked = cohorts.stack(drawn)
    assert stacked.slots.client.shape == (3, *drawn[0].slots.client.shape)
    assert stacked.layout == drawn[0].layout
    everyone = sorted({client for cohort in drawn for client in small.members(cohort)})
    assert sorted({*small.members(stacked)}) == everyone
