"""Many rounds: scans, seeds, histories."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.client import batches
from hasa_jax.methods import method as methods
from hasa_jax.simulation import cohorts, evaluation
from tests.support import small

KEY = jax.random.key(8)
UNITS = np.array([12, 3, 7, 5])


def algorithm_of(**knobs):
    knobs = {"execution": hj.EXECUTIONS["masked"], "batch_size": 4} | knobs
    return hj.partial_training(small.mlp(), **knobs)


def allocation_of(algorithm, dataset, policy="hasa", seed=8, **knobs):
    return hj.allocate(
        dataset.train,
        algorithm.model,
        policy=hj.POLICIES[policy](),
        scores=hj.SCORES["label_divergence"]()(dataset.train, algorithm.model, KEY),
        key=jax.random.key(seed),
        **knobs,
    )


def test_scan_equals_a_loop_of_rounds():
    algorithm, data = algorithm_of(server_optimizer=optax.adam(0.1)), small.client_data()
    cohort = small.cohort(algorithm.model, data, UNITS)
    thrice = jax.tree.map(lambda x: np.stack([x] * 3), cohort)
    scanned, metrics = hj.scan_rounds(algorithm, algorithm.init(KEY), data, thrice)
    looped = algorithm.init(KEY)
    step = jax.jit(algorithm.round)
    for _ in range(3):
        looped, last = step(looped, data, cohort)
    small.assert_trees_close(scanned.params, looped.params, atol=1e-6)
    small.assert_trees_close(jax.tree.map(lambda x: x[-1], metrics), last, atol=1e-4)
    assert int(scanned.round) == 3
    assert jax.random.key_data(scanned.key).tolist() == jax.random.key_data(KEY).tolist()


def test_any_chunking_of_rounds_gives_the_same_run():
    algorithm, dataset = algorithm_of(), small.dataset()
    allocation = allocation_of(algorithm, dataset)
    runs = [
        hj.run(algorithm, dataset, allocation, key=KEY, num_rounds=5, eval_every=every)
        for every in (1, 2, 5)
    ]
    assert [row["round"] for row in runs[1].summary] == [2, 4, 5]
    for other in runs[1:]:
        small.assert_trees_close(runs[0].state.params, other.state.params, atol=1e-6)


def test_training_learns():
    algorithm, dataset = algorithm_of(client_optimizer=optax.adam(0.03)), small.dataset((60, 80))
    dataset = dataclasses.replace(dataset, test=dataset.train)
    history = hj.run(
        algorithm, dataset, allocation_of(algorithm, dataset), key=KEY, num_rounds=40, eval_every=40
    )
    majority = np.bincount(dataset.train.targets).max() / len(dataset.train.targets)
    assert history.summary[-1]["mean_accuracy"] > 1.5 * majority


def test_policies_of_one_seed_share_initialisation_and_batches():
    """Matched seeds: at equal widths two policies are the same run, bit for bit."""
    algorithm, dataset = algorithm_of(), small.dataset()
    ends = [
        hj.run(
            algorithm,
            dataset,
            allocation_of(algorithm, dataset, policy, w_min=0.5, w_max=0.5),
            key=KEY,
            num_rounds=2,
        ).state.params
        for policy in ("uniform", "hasa")
    ]
    small.assert_trees_equal(*ends)


def test_other_seeds_are_other_runs():
    algorithm, dataset = algorithm_of(), small.dataset()
    allocation = allocation_of(algorithm, dataset)
    ends = [
        hj.run(algorithm, dataset, allocation, key=jax.random.key(s), num_rounds=1).state.params
        for s in (0, 1)
    ]
    assert small.max_difference(*ends) > 1e-3


def test_rows_tell_every_client_and_split():
    algorithm, dataset = algorithm_of(), small.dataset()
    history = hj.run(
        algorithm,
        dataset,
        allocation_of(algorithm, dataset),
        key=KEY,
        num_rounds=2,
        labels={"policy": "hasa", "seed": 8},
    )
    splits = ["validation", "test", "supernet_validation", "supernet_test"]
    assert [(r["round"], r["split"], r["client"]) for r in history.metrics] == [
        (r, split, name) for r in (1, 2) for split in splits for name in dataset.client_names
    ]
    allocation = allocation_of(algorithm, dataset)
    for row in history.metrics:
        client = dataset.client_names.index(row["client"])
        own = not row["split"].startswith("supernet")
        assert row["width"] == pytest.approx(allocation.widths[client] if own else 1.0)
    summary = history.summary[-1]
    test = [r["accuracy"] for r in history.metrics if (r["round"], r["split"]) == (2, "test")]
    assert summary["mean_accuracy"] == pytest.approx(np.mean(test))
    assert summary["worst_accuracy"] == min(test)
    assert summary["budget_width"] == pytest.approx(
        np.average(allocation.widths, weights=dataset.train.num_examples)
    )


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
def test_evaluation_is_that_of_the_narrow_model(execution):
    algorithm = algorithm_of(execution=hj.EXECUTIONS[execution])
    data, model = small.client_data(), algorithm.model
    cohort = small.cohort(model, data, UNITS)
    state = algorithm.init(KEY)
    scores = hj.per_client(hj.evaluate(algorithm, state, data, data, cohort), cohort)
    for client, kept in enumerate(UNITS):
        sizes = hj.units.sizes_of_units(model.groups, int(kept))
        ranks = {name: np.arange(size) for name, size in model.groups.items()}
        narrow = hj.units.gather(state.params, model.axes, ranks, sizes)
        rows = slice(data.offsets[client], data.offsets[client + 1])
        (logits,), _ = model.narrow(sizes, 1)(narrow, data.inputs[rows], hj.Context())
        hits = np.argmax(logits, -1) == data.targets[rows]
        losses = optax.softmax_cross_entropy_with_integer_labels(logits, data.targets[rows])
        assert scores.accuracy[client] == pytest.approx(hits.mean())
        assert scores.loss[client] == pytest.approx(float(losses.mean()), rel=1e-5)


def test_summary_by_hand():
    accuracy = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    summary = hj.summarize(accuracy, np.array([1, 1, 1, 1, 1, 1, 4]))
    assert summary.mean == pytest.approx(0.4)
    assert summary.weighted == pytest.approx(0.49)
    assert summary.worst == pytest.approx(0.1)
    assert summary.tail == pytest.approx(0.15)
    assert summary.std == pytest.approx(0.2)
    assert hj.summarize(accuracy, np.ones(7), tail_fraction=0.0).tail == pytest.approx(0.1)
    assert hj.summarize(accuracy, np.ones(7), tail_fraction=1.0).tail == pytest.approx(0.4)


@pytest.mark.parametrize(
    ("knobs", "match"),
    [
        ({"num_rounds": 0}, "num_rounds is 0"),
        ({"num_rounds": 1, "eval_every": 0}, "eval_every is 0"),
        ({"num_rounds": 1, "client_weights": "equal"}, "use one of examples, uniform"),
    ],
)
def test_bad_arguments_are_refused(knobs, match):
    algorithm, dataset = algorithm_of(), small.dataset()
    with pytest.raises(hj.UserError, match=match):
        hj.run(algorithm, dataset, allocation_of(algorithm, dataset), key=KEY, **knobs)


def test_capacities_must_fit_the_clients():
    algorithm, dataset = algorithm_of(), small.dataset()
    for capacities in ([0.5], [0.5, 0.5, 0.5, 1.5], [0.5, 0.5, 0.5, np.nan]):
        with pytest.raises(hj.UserError, match="capacities"):
            allocation_of(algorithm, dataset, capacities=capacities)


def test_unknown_budget_unit_is_refused():
    algorithm, dataset = algorithm_of(), small.dataset()
    with pytest.raises(hj.UserError, match="use one of width, params, macs"):
        allocation_of(algorithm, dataset, budget_unit="joules")


@pytest.mark.parametrize("unit", ["width", "params", "macs"])
def test_the_ledger_tells_what_the_widths_cost(unit):
    algorithm, dataset = algorithm_of(), small.dataset()
    allocation = allocation_of(algorithm, dataset, budget_unit=unit)
    model, q = algorithm.model, dataset.train.num_examples / dataset.train.num_examples.sum()
    sizes = [hj.units.sizes_of_units(model.groups, int(k)) for k in allocation.units]
    params = [hj.costs.parameter_count(model, s) for s in sizes]
    macs = [hj.costs.mac_count(model, s) for s in sizes]
    ledger = allocation.ledger
    assert ledger.width == pytest.approx(q @ allocation.widths)
    assert ledger.params == pytest.approx(
        q @ params / hj.costs.parameter_count(model, model.groups)
    )
    assert ledger.macs == pytest.approx(q @ macs / hj.costs.mac_count(model, model.groups))
    assert ledger.requested == 0.5
    assert getattr(ledger, unit) <= 0.5


def test_diverged_training_is_told_not_scored():
    algorithm = algorithm_of(client_optimizer=optax.sgd(1e30))
    dataset = small.dataset()
    with pytest.raises(hj.UserError, match="round 1:"):
        hj.run(
            algorithm,
            dataset,
            allocation_of(algorithm, dataset),
            key=KEY,
            num_rounds=2,
            eval_every=2,
        )


def test_cohorts_are_drawn_without_replacement_from_the_seed():
    algorithm, dataset = algorithm_of(), small.dataset((7, 30, 12, 3, 9, 8))
    allocation = allocation_of(algorithm, dataset)

    def drawn(seed, round):
        cohort = cohorts.draw(
            algorithm,
            dataset.train,
            allocation,
            jax.random.key(seed),
            3,
            "examples",
            allocation.units,
            round,
        )
        return tuple(small.members(cohort))

    seen = [drawn(0, round) for round in range(40)]
    assert all(len(set(clients)) == 3 for clients in seen)
    assert set().union(*seen) == set(range(6))
    assert seen[5] == drawn(0, 5)
    assert [drawn(1, round) for round in range(40)] != seen


def test_drawn_cohorts_train_alike_in_every_execution():
    dataset = small.dataset((7, 30, 12, 3))
    ends = []
    for kind in sorted(hj.EXECUTIONS):
        algorithm = algorithm_of(execution=hj.EXECUTIONS[kind])
        allocation = allocation_of(algorithm, dataset, policy="random", dynamic=True)
        history = hj.run(
            algorithm, dataset, allocation, key=KEY, num_rounds=3, eval_every=2, clients_per_round=2
        )
        ends.append(history.state.params)
    small.assert_trees_close(*ends, atol=1e-5)


def test_who_takes_no_part_is_evaluated_but_never_trained():
    algorithm, dataset = algorithm_of(), small.dataset((7, 30, 12, 3))
    allocation = hj.allocate(
        dataset.train,
        algorithm.model,
        policy=hj.UNBUDGETED["exclusive"](),
        budgeted=False,
        scores=np.zeros(4),
        key=KEY,
        capacities=[1, 0.5, 1, 0.5],
    )
    cohort = cohorts.draw(
        algorithm, dataset.train, allocation, KEY, 0, "uniform", allocation.units, 0
    )
    assert small.members(cohort) == [0, 2]
    history = hj.run(algorithm, dataset, allocation, key=KEY, num_rounds=1)
    own = [row for row in history.metrics if row["split"] == "test"]
    assert [row["width"] for row in own] == [1, 0.5, 1, 0.5]
    with pytest.raises(hj.UserError, match="2 clients take part"):
        hj.run(algorithm, dataset, allocation, key=KEY, num_rounds=1, clients_per_round=3)


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
def test_calibration_makes_evaluation_independent_of_the_batch(execution):
    """Static norm: the mean over mixed training batches, whatever a test batch holds."""
    data = small.client_data((9, 14, 5), kind="perceptron")
    losses = {}
    for norm in ("static", "batch"):
        for size in (2, 16):
            algorithm = hj.partial_training(
                small.perceptron(norm=norm), execution=hj.EXECUTIONS[execution], batch_size=size
            )
            cohort = small.cohort(algorithm.model, data, [9, 4, 6], batch_size=size)
            sums = hj.evaluate(algorithm, algorithm.init(KEY), data, data, cohort)
            losses[norm, size] = hj.per_client(sums, cohort).loss
    np.testing.assert_allclose(losses["static", 2], losses["static", 16], atol=1e-5)
    assert np.abs(losses["batch", 2] - losses["batch", 16]).max() > 1e-3


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
@pytest.mark.parametrize("extraction", ["prefix", "rolling", "random"])
def test_one_client_of_each_size_calibrates_for_all(execution, extraction):
    data = small.client_data((9, 14, 5, 8), kind="perceptron")
    algorithm = hj.partial_training(
        small.perceptron(norm="static"),
        extraction=hj.EXTRACTIONS[extraction](),
        execution=hj.EXECUTIONS[execution],
    )
    state = algorithm.init(KEY)
    state = dataclasses.replace(state, round=jnp.int32(3))
    kept = np.array([9, 4, 6, 4])

    def place(chosen):
        weights = np.ones(len(chosen))
        return algorithm.evaluation.place(
            chosen, kept[chosen], weights, data.num_examples, 4, possible=kept
        )

    cohort = place(np.arange(4))
    by_size = extraction != "random"
    stand = evaluation.standing_for(algorithm.extraction, kept, 4 - by_size)
    assert stand.tolist() == ([1, 2, 0] if by_size else [0, 1, 2, 3])
    own = hj.evaluate(algorithm, state, data, data, cohort)
    shared = hj.evaluate(algorithm, state, data, data, cohort, calibrators=place(stand))
    small.assert_trees_close(shared, own, atol=1e-5)


def test_levels_are_evaluated_on_everybodys_test_examples():
    """Two classes of a client each: on all classes and on its own the accuracies differ."""
    dataset = small.dataset(kind="perceptron")
    algorithm = methods.build(hj.METHODS["heterofl"], small.perceptron(norm="static"))
    allocation = hj.allocate(
        dataset.train,
        algorithm.model,
        policy=hj.UNBUDGETED["full"](),
        scores=np.zeros(4),
        key=KEY,
        budgeted=False,
    )
    levels = {"1": 9, "half": 5}
    history = hj.run(algorithm, dataset, allocation, key=KEY, num_rounds=1, levels=levels)
    whole, half = history.sizes
    assert (whole["level"], whole["width"], half["level"], half["width"]) == (
        "1",
        1.0,
        "half",
        5 / 9,
    )
    rows = [row for row in history.metrics if row["split"] == "supernet_test"]
    counts = dataset.test.num_examples
    pooled = np.average([row["accuracy"] for row in rows], weights=counts)
    assert whole["global_accuracy"] == pytest.approx(pooled)
    own = [row["accuracy"] for row in history.metrics if row["split"] == "test"]
    assert whole["local_accuracy"] == pytest.approx(np.mean(own))


def test_moments_are_those_of_evaluation_whatever_the_scaler():
    """A scaler of training alone must not reach the moments that evaluation normalises by."""
    data, losses = small.client_data((9, 14, 5), kind="perceptron"), {}
    for scaler in ("none", "train"):
        model = small.perceptron(norm="static", scaler=scaler)
        algorithm = hj.partial_training(model, execution=hj.EXECUTIONS["masked"], batch_size=4)
        cohort = small.cohort(model, data, [9, 3, 5])
        sums = hj.evaluate(algorithm, algorithm.init(KEY), data, data, cohort)
        losses[scaler] = hj.per_client(sums, cohort).loss
    np.testing.assert_allclose(losses["train"], losses["none"], atol=1e-5)


def test_calibration_batches_are_even():
    data = small.client_data((200, 57), kind="perceptron")
    plan = batches.mixed_batches(KEY, jax.tree.map(np.asarray, data))
    assert sorted(np.asarray(plan.valid).sum(axis=1).tolist()) == [128, 129]
    used = np.asarray(plan.rows)[np.asarray(plan.valid)]
    np.testing.assert_array_equal(np.sort(used), np.arange(257))
