"""Sizes that follow what clients measured while they train."""

import dataclasses
import functools
import json

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.allocation.policies import need
from hasa_jax.simulation.checkpoint import Checkpoints
from hasa_jax.simulation.program import PASSES
from hasa_jax.simulation.spending import budget_after
from hasa_jax.supernet.costs import bytes_down, cost_table
from tests.support import small

KEY = jax.random.key(4)
SIZES = (160, 320, 90, 40)
DATASET = small.dataset(SIZES)
EVERY = 2
# Without a margin, sizes move.
POLICY = need(reallocate_every=EVERY, num_widths=3, held_out=0.2, shrinkage=1.0, margin=0.0)
METHOD = small.plain(policy=POLICY)


@functools.cache
def program_of(mode="masked", devices=1):
    program = small.program(
        small.supernet("mlp"),
        DATASET.train,
        mode,
        method=METHOD,
        optimizer=optax.adam(0.03),
        mesh=f"clients:{devices}",
        local_epochs=2,
        batch_size=16,
    )
    # Few buckets, which compile in less time.
    return dataclasses.replace(program, bucket_share=0.2)


def trial_of(dataset=DATASET, method=METHOD, key=KEY, **labels):
    return hj.make_trial(method, small.supernet("mlp"), dataset, key, labels=labels)


def run(program=None, trials=None, num_rounds=7, eval_every=1, draw="last", **options):
    return hj.run_trials(
        program or program_of(),
        trials or [trial_of()],
        num_rounds=num_rounds,
        reporting=hj.Reporting(eval_every=eval_every, draw=draw),
        **options,
    )


@functools.cache
def history():
    return run()[0]


def given(history):
    """Returns the sizes that each measurement gave."""
    return np.array([record["given_size"] for record in history.measured]).reshape(-1, 3, 4)[:, 0]


def own_sizes(history):
    """Returns the sizes of the clients at every evaluation."""
    found = [record["size"] for record in history.metrics if record["split"] == "test"]
    return np.array(found).reshape(-1, 4)


def assert_same(one, other):
    small.assert_trees_equal(one.state.params, other.state.params)
    for table in ("metrics", "summary", "measured"):
        assert list(getattr(one, table)) == list(getattr(other, table)) != []
    assert one.allocation.ledger == other.allocation.ledger


def test_sizes_follow_each_measurement():
    found, allocation = given(history()), history().allocation
    assert sorted({record["round"] for record in history().measured}) == [2, 4, 6]
    assert len(np.unique(found, axis=0)) > 1
    for number, sizes in enumerate(found):
        # The first of its rounds trains drawn sizes, and evaluates what was given.
        first = EVERY * (number + 1)
        np.testing.assert_array_equal(allocation.sizes_at(first), allocation.redraw(first))
        for round in range(first, min(first + EVERY, 7)):
            np.testing.assert_array_equal(allocation.own_sizes_at(round), sizes)
            np.testing.assert_array_equal(own_sizes(history())[round], sizes)
        np.testing.assert_array_equal(allocation.sizes_at(first + 1), sizes)
    drawn = own_sizes(history())[:EVERY]
    np.testing.assert_array_equal(drawn, [allocation.redraw(round) for round in range(EVERY)])


def test_losses_are_those_of_held_out_training_examples():
    trial = trial_of()
    (before,) = run(num_rounds=2, eval_every=2)
    held_out = trial.held_out.examples
    for size in trial.allocation.reallocation.sizes:
        cohort = small.cohort(program_of(), trial.dataset.train, [size] * 4)
        loss, _ = small.evaluate(program_of(), before.state, held_out, cohort)
        width = size / 12
        records = [r for r in history().measured if (r["round"], r["measured_width"]) == (2, width)]
        np.testing.assert_allclose([record["loss"] for record in records], loss, rtol=1e-5)
        assert [record["targets"] for record in records] == held_out.num_examples.tolist()


def test_what_is_held_out_is_never_trained_on():
    trial = trial_of()
    broken = trial.held_out.examples.replace(inputs=7 + np.array(trial.held_out.examples.inputs))
    other = trial._replace(held_out=trial.held_out._replace(examples=broken))
    (one,), (changed,) = (run(trials=[t], num_rounds=2, eval_every=2) for t in (trial, other))
    small.assert_trees_equal(one.state.params, changed.state.params)
    np.testing.assert_array_equal(
        trial.dataset.train.num_examples + trial.held_out.examples.num_examples,
        DATASET.train.num_examples,
    )


def test_validation_and_test_examples_decide_nothing():
    other = small.dataset(SIZES)
    broken = {name: getattr(other, name).replace() for name in ("validation", "test")}
    broken = {n: part.replace(inputs=part.inputs[::-1] * 3) for n, part in broken.items()}
    (changed,) = run(trials=[trial_of(dataclasses.replace(other, **broken))])
    assert changed.metrics != history().metrics
    assert list(changed.measured) == list(history().measured)
    small.assert_trees_equal(changed.state.params, history().state.params)


@pytest.mark.parametrize("after", [1, 2, 4, 5])
def test_a_run_that_was_stopped_goes_on(after, tmp_path):
    asked = []

    def stop():
        asked.append(True)
        return len(asked) == after

    for number, ends in enumerate((stop, lambda: False)):
        checkpoints = Checkpoints(tmp_path / "run", {}, every=1)
        (found,) = run(checkpoints=checkpoints, stop=ends)
        checkpoints.close()
        assert found.summary[-1]["round"] == (7 if number else after)
    assert_same(found, history())


def test_more_rounds_go_on_from_the_last(tmp_path):
    for num_rounds in (4, 7):
        checkpoints = Checkpoints(tmp_path / "run", {}, every=1)
        (found,) = run(num_rounds=num_rounds, checkpoints=checkpoints)
        checkpoints.close()
    assert_same(found, history())


def test_masked_is_sliced():
    (sliced,) = run(program_of("sliced"))
    np.testing.assert_array_equal(given(sliced), given(history()))
    small.assert_trees_close(sliced.state.params, history().state.params, atol=1e-5)


@pytest.mark.slow
def test_two_devices_are_one():
    (found,) = run(program_of(devices=2))
    np.testing.assert_array_equal(given(found), given(history()))
    small.assert_trees_close(found.state.params, history().state.params, atol=1e-5)


@pytest.mark.slow
def test_seeds_in_one_program_are_seeds_one_by_one():
    trials = [trial_of(key=jax.random.key(seed), seed=seed) for seed in (4, 5)]
    histories = run(trials=trials)
    for trial, found in zip(trials, histories, strict=True):
        (own,) = run(trials=[trial])
        np.testing.assert_array_equal(given(found), given(own))
        small.assert_trees_close(found.state.params, own.state.params, atol=1e-5)


def test_nothing_is_compiled_again_as_sizes_move():
    program = dataclasses.replace(program_of("sliced"))  # It shares no compiled code.
    trials = [[trial_of(key=jax.random.key(seed))] for seed in (6, 7)]
    made = []
    for own in trials:
        (found,) = run(program, own, num_rounds=8, eval_every=2)
        assert len(np.unique([*own_sizes(found), *given(found)], axis=0)) >= 3
        made.append([record["programs"] for record in found.timings])
    # The first rounds and their evaluation, and the first measurement.
    assert made == [[2, 3, 3, 3], [0, 0, 0, 0]]


def test_budgets_are_those_of_the_sizes_that_ran():
    trial, allocation = trial_of(), history().allocation
    shares = trial.dataset.train.num_examples / trial.dataset.train.num_examples.sum()
    np.testing.assert_allclose(allocation.stats.shares, shares)
    table = cost_table(program_of().model, program_of().extraction, "macs")
    for record in history().summary:
        ran = np.array([allocation.sizes_at(round) for round in range(record["round"])])
        assert record["budget_width"] == pytest.approx((ran / 12 @ shares).mean())
        assert record["budget_macs"] == pytest.approx((table[ran] @ shares).mean())
        assert 0.5 - 0.02 < record["budget_width"] <= 0.5 + 1e-9
    last = history().summary[-1]
    assert allocation.ledger.width == last["budget_width"]
    assert allocation.ledger.requested == last["budget_requested"] == 0.5
    # Three measurements in seven rounds, at three widths of as large a pass as any.
    examples = trial.held_out.examples.num_examples.sum()
    cost = 3 * 3 * examples / (PASSES * 2 * trial.dataset.train.num_examples.sum())
    assert last["budget_executed"] == pytest.approx(1 + cost / 7)
    model, extraction = program_of().model, program_of().extraction
    sent = np.array(
        [0] + [bytes_down(model, extraction, extraction.shape(model, k + 1)) for k in range(12)]
    )
    own = sent[np.array([allocation.sizes_at(round) for round in range(7)])].mean()
    assert last["bytes_down"] == pytest.approx(own + 3 / 7 * sent[9])
    assert last["bytes_up"] == pytest.approx(own + 3 / 7 * 4 * 4)


def test_the_next_draw_is_what_was_just_measured():
    (found,) = run(num_rounds=4, draw="next")
    np.testing.assert_array_equal(own_sizes(found)[1], given(found)[0])
    np.testing.assert_array_equal(own_sizes(found)[3], given(found)[1])


def test_a_stream_is_the_run():
    execution = dataclasses.replace(program_of().execution, stream=True)
    (found,) = run(dataclasses.replace(program_of(), execution=execution), num_rounds=4)
    np.testing.assert_array_equal(given(found), given(history())[:1])
    sizes = own_sizes(history())[:4]
    np.testing.assert_array_equal(own_sizes(found), sizes)
    execution = dataclasses.replace(execution, mesh="clients:2")
    program = dataclasses.replace(program_of(), execution=execution)
    with pytest.raises(hj.UserError, match="`stream` needs a `mesh` with one device"):
        run(program, num_rounds=4)


def test_a_trial_that_holds_nothing_out_is_refused():
    trial = trial_of()._replace(held_out=None)
    with pytest.raises(hj.UserError, match="`make_trial`"):
        run(trials=[trial])


def test_what_a_measurement_cost_is_not_known_without_held_out_examples():
    trial = trial_of()._replace(held_out=None)
    zeros = dict.fromkeys(
        [*(f"budget_{unit}" for unit in ("width", "params", "macs", "executed"))], 0.0
    )
    budget = zeros | dict.fromkeys(("budget_bytes", "bytes_down", "bytes_up"), 0.0)
    with pytest.raises(hj.UserError, match="`make_trial`"):
        budget_after(program_of(), trial, budget, 0, 1)


def test_a_run_that_never_measures_says_so_in_run_json(tmp_path):
    data = small.dataset((30, 60, 12, 9), "perceptron")
    result = hj.simulate(
        METHOD,
        hj.models.mlp(hidden=6),
        data,
        num_rounds=EVERY,
        key=KEY,
        training=hj.Training(batch_size=8),
        execution=hj.Execution("masked", mesh="clients:1"),
    )
    assert not result.records["measured"]
    found = json.loads((result.save(tmp_path / "w") / "run.json").read_text(encoding="utf-8"))
    ((note,),) = found["data_notes"].values()
    assert note.startswith("need never measures: it would after round 2, but the run has 2 rounds")


def test_seeds_that_measure_at_other_sizes_are_refused():
    other = dataclasses.replace(METHOD, policy=need(reallocate_every=3))
    with pytest.raises(hj.UserError, match="measure in the same rounds"):
        run(trials=[trial_of(), trial_of(method=other)])


@pytest.mark.slow
def test_the_loop_is_the_run():
    data = small.dataset((30, 60, 12, 9), "perceptron")
    model, options = hj.models.mlp(hidden=6), {"training": hj.Training(batch_size=8)}
    options |= {
        "client_optimizer": optax.sgd(0.1),
        "execution": hj.Execution("masked", mesh="clients:1"),
    }
    result = hj.simulate(METHOD, model, data, num_rounds=5, key=KEY, **options)
    algorithm = hj.build(METHOD, model, data, num_rounds=5, key=KEY, **options)
    assert algorithm.measure(algorithm.init(KEY)) is algorithm
    state = algorithm.init(KEY)
    while state.round < 5:
        algorithm = algorithm.measure(state)
        state, _ = algorithm.round(state, algorithm.sample(state))
        if state.round == 2:
            with pytest.raises(hj.UserError, match="before round 2: go on with"):
                algorithm.sample(state)
    small.assert_trees_equal(state.params, result.state.params)
    sizes = result.trial.allocation.own_sizes_at(4)
    np.testing.assert_array_equal(algorithm.evaluate(state).sizes, sizes)
    assert result.records["measured"]
    for client in range(4):
        assert result.subnet(client)[0].hidden == sizes[client]
    assert result.ledger.width == result.records["summary"][-1]["budget_width"]
    assert "budget 0.5 (width)" in result.table()


def test_a_policy_of_ones_own_may_measure_without_draws():
    def widths(stats, budget, key):
        del budget, key
        if stats.measured is None:
            return np.full(4, 6 / 12)
        np.testing.assert_allclose(stats.measured.widths, [2 / 12, 9 / 12])
        assert stats.measured.losses.shape == (4, 2)
        worst = np.argmax(stats.measured.losses[:, 1])
        return np.where(np.arange(4) == worst, 5 / 12, 3 / 12)

    own = hj.Policy(widths, reallocate_every=2, num_widths=2, held_out=0.2)
    trial = trial_of(method=dataclasses.replace(METHOD, policy=own))
    (found,) = run(trials=[trial], num_rounds=3)
    assert [sorted(set(sizes)) for sizes in own_sizes(found).tolist()] == [[6], [6], [3, 5]]
    np.testing.assert_array_equal(found.allocation.sizes_at(2), own_sizes(found)[2])
