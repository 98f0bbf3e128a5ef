"""What a run writes: every client, split and level, and the ledger of the budget."""

import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.allocation.connection import Connection
from hasa_jax.simulation.health import Updates
from hasa_jax.simulation.records import budget_columns, records_of, updates_in
from hasa_jax.simulation.resuming import SECONDS
from hasa_jax.simulation.views import GLOBAL, OWN_TEST, SUPERNET, View
from hasa_jax.supernet import costs, units
from tests.support import small

DATASET = small.dataset()
NAMES = DATASET.client_names
FULL = View("test", SUPERNET, 12, True)
SPLITS = ["validation", "test", "supernet_validation", "supernet_test"]


def trained():
    """Returns a trial, and the history of its two rounds, both evaluated."""
    program = small.program(small.supernet("mlp"), DATASET.train)
    trial = small.trial(
        program, DATASET, policy=hj.POLICIES["hasa"](), labels={"policy": "hasa", "seed": 8}
    )
    (history,) = hj.run_trials(program, [trial], num_rounds=2, reporting=hj.Reporting(eval_every=1))
    return trial, history


def test_records_have_every_client_and_split():
    trial, history = trained()
    assert [(r["round"], r["split"], r["client"]) for r in history.metrics] == [
        (round, split, name) for round in (1, 2) for split in SPLITS for name in NAMES
    ]
    allocation = trial.allocation
    assert len(set(allocation.sizes)) > 1
    for record in history.metrics:
        client = NAMES.index(record["client"])
        own = not record["split"].startswith("supernet")
        assert record["size"] == (allocation.sizes[client] if own else 12)
        assert record["width"] == pytest.approx(allocation.widths[client] if own else 1.0)
        assert record["num_examples"] == DATASET.test.num_examples[client]
    summary = history.summary[-1]
    test = [r["accuracy"] for r in history.metrics if (r["round"], r["split"]) == (2, "test")]
    assert summary["mean_accuracy"] == pytest.approx(np.mean(test))
    assert summary["worst_accuracy"] == min(test)
    assert summary["budget_width"] == pytest.approx(
        np.average(allocation.widths, weights=DATASET.train.num_examples)
    )
    for table in (history.metrics, history.summary, history.timings):
        assert all((r["policy"], r["seed"]) == ("hasa", 8) for r in table)
    assert history.sizes == []
    assert [list(r) for r in history.timings] == [["policy", "seed", "round", *SECONDS]] * 2


@pytest.mark.parametrize("unit", ["width", "params", "macs"])
def test_the_summary_records_what_the_sizes_cost(unit):
    program = small.program(small.supernet("mlp"), DATASET.train)
    budget = hj.BudgetSpec(unit=unit)
    trial = small.trial(program, DATASET, policy=hj.POLICIES["hasa"](), budget=budget)
    ones = np.ones(4)
    found = [
        result(OWN_TEST, trial.allocation.sizes, ones, ones),
        result(FULL, [12] * 4, ones, ones),
    ]
    columns = budget_columns(program, trial.allocation)
    tables = records_of(program, trial, found, 3, 0.25, {}, {}, Updates(5, 6), columns)
    (record,) = tables["summary"]
    assert updates_in(record) == (5, 6)
    model, q = program.model, DATASET.train.num_examples / DATASET.train.num_examples.sum()
    kept = [units.kept_of_size(model.groups, int(size)) for size in trial.allocation.sizes]
    params = [costs.parameter_count(model, own) for own in kept]
    macs = [costs.mac_count(model, own) for own in kept]
    assert record["budget_width"] == pytest.approx(q @ trial.allocation.widths)
    full = costs.parameter_count(model, model.groups), costs.mac_count(model, model.groups)
    assert record["budget_params"] == pytest.approx(q @ params / full[0])
    assert record["budget_macs"] == pytest.approx(q @ macs / full[1])
    # Masked execution computes every client at full size.
    assert record["budget_executed"] == 1
    assert record["budget_requested"] == 0.5
    assert record[f"budget_{unit}"] <= 0.5


def result(view, sizes, accuracy, targets):
    """Returns the result of one view."""
    loss = np.zeros(len(NAMES))
    return hj.EvaluationResult(view, NAMES, np.asarray(sizes), loss, accuracy, targets)


def test_levels_have_a_global_and_a_local_accuracy_by_hand():
    """Over all examples on all classes, and the mean over clients on their own classes."""
    program = small.program(small.supernet("mlp"), DATASET.train)
    trial = small.trial(program, DATASET)
    accuracy, targets = np.array([1.0, 0.5, np.nan, 0.0]), np.array([1, 6, 0, 3])
    half = np.full(4, 6)
    found = [
        result(OWN_TEST, trial.allocation.sizes, accuracy, targets),
        result(FULL, [12] * 4, np.array([0.9, 0.7, np.nan, 0.2]), targets),
        result(
            View("test", GLOBAL, 12, False), [12] * 4, np.array([1.0, 0.6, np.nan, 0.3]), targets
        ),
        result(View("test", "half", 6, True), half, accuracy, targets),
        result(View("test", "half", 6, False), half, np.array([1.0, 1.0, np.nan, 0.4]), targets),
    ]
    connections = {"half": Connection(0.25, severed=True)}
    tables = records_of(program, trial, found, 3, 0.25, {}, connections, Updates(6, 6), {})
    assert tables["sizes"] == [
        {
            "round": 3,
            "level": "half",
            "size": 6,
            "width": 0.5,
            "global_accuracy": pytest.approx(0.4),
            "local_accuracy": pytest.approx(0.8),
            "empty_layers": 0.25,
            "severed": 1,
        }
    ]
    assert {r["split"] for r in tables["metrics"]} == {"test", "supernet_test", "global_test"}
    (summary,) = tables["summary"]
    # The global model predicts only a client's own classes here.
    assert summary["global_mean_accuracy"] == pytest.approx(np.mean([1.0, 0.6, 0.3]))
    assert summary["global_worst_accuracy"] == 0.3


def test_where_no_class_is_hidden_the_global_accuracy_is_that_of_the_supernet():
    _, history = trained()
    for record in history.summary:
        supernet = [
            r["accuracy"]
            for r in history.metrics
            if (r["round"], r["split"]) == (record["round"], "supernet_test")
        ]
        assert record["global_mean_accuracy"] == pytest.approx(np.mean(supernet))


def test_levels_are_evaluated_on_the_test_examples_of_all_clients():
    """A client's own subnet is evaluated on its own classes, the supernet on all."""
    dataset = small.dataset(kind="perceptron")
    method = hj.methods.heterofl(levels=(1.0,))
    model = small.perceptron(norm="static", layers=1)
    program = small.program(model, dataset.train, method=method)
    trial = small.trial(program, dataset, policy=method.policy)
    reporting = hj.Reporting(levels={"1": 9, "half": 5})
    (history,) = hj.run_trials(program, [trial], num_rounds=1, reporting=reporting)
    full, half = history.sizes
    assert (full["level"], full["size"], full["width"]) == ("1", 9, 1.0)
    assert (half["level"], half["size"], half["width"]) == ("half", 5, 5 / 9)

    def column(split, name):
        return [record[name] for record in history.metrics if record["split"] == split]

    counts = dataset.test.num_examples
    pooled = np.average(column("supernet_test", "accuracy"), weights=counts)
    assert full["global_accuracy"] == pytest.approx(pooled)
    assert full["local_accuracy"] == pytest.approx(np.mean(column("test", "accuracy")))
    assert column("test", "loss")[3] != column("supernet_test", "loss")[3]
    # All clients train at full size, so the global model on own classes is their own subnet.
    assert column("global_test", "accuracy") == column("test", "accuracy")
