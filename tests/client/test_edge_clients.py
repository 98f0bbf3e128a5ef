"""Clients with no example, with one, with fewer than a batch, or with unknown words alone."""

import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.simulation import cohorts
from tests.support import small

SIZES = (0, 1, 3, 12)


def algorithm_of(kind, execution):
    return hj.partial_training(
        small.SUPERNETS[kind](), execution=hj.EXECUTIONS[execution], batch_size=4
    )


def one_round(algorithm, data, clients, weights=None):
    finest = max(algorithm.model.groups.values())
    clients = np.asarray(clients)
    weights = data.num_examples[clients] if weights is None else np.asarray(weights)
    cohort = algorithm.execution.place(
        clients, np.full(len(clients), finest // 2), weights, data.num_examples, 4
    )
    start = algorithm.init(small.KEY)
    end, report = hj.scan_rounds(algorithm, start, data, cohorts.stacked([cohort]))
    return start.params, end.params, report


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_a_client_without_examples_changes_nothing(kind, execution):
    algorithm, data = algorithm_of(kind, execution), small.client_data(SIZES, kind)
    _, with_it, report = one_round(algorithm, data, [0, 1, 2, 3])
    _, without, _ = one_round(algorithm, data, [1, 2, 3])
    small.assert_trees_close(with_it, without, atol=1e-6)
    assert np.asarray(report.finite).all()
    # Nor if every client weighs the same: its update is zero, and counts as one.
    start, alone, _ = one_round(algorithm, data, [0], weights=[1.0])
    small.assert_trees_equal(start, alone)


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_one_example_and_less_than_a_batch_are_trained_on(kind):
    algorithm, data = algorithm_of(kind, "sliced"), small.client_data(SIZES, kind)
    for client, size in ((1, 1), (2, 3)):
        start, end, report = one_round(algorithm, data, [client])
        assert small.max_difference(start, end) > 1e-4
        if kind == "mlp":
            assert np.asarray(report.metrics.count).sum() == size


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
def test_a_client_of_unknown_words_alone_learns_nothing(execution):
    algorithm, data = algorithm_of("lstm", execution), small.client_data(SIZES, "lstm")
    own = slice(data.offsets[2], data.offsets[3])
    data.targets[own] = np.where(data.targets[own] == hj.IGNORED, hj.IGNORED, hj.UNKNOWN)
    start, end, report = one_round(algorithm, data, [2])
    small.assert_trees_equal(start, end)
    assert np.asarray(report.metrics.loss_count).sum() == 0
    assert np.asarray(report.metrics.count).sum() > 0


@pytest.mark.parametrize("kind", ["mlp", "lstm"])
def test_a_run_with_all_of_them_tells_what_it_can(kind):
    dataset = small.dataset(SIZES, kind)
    if kind == "lstm":
        for part in (dataset.train, dataset.validation, dataset.test):
            own = slice(part.offsets[2], part.offsets[3])
            part.targets[own] = np.where(part.targets[own] == hj.IGNORED, hj.IGNORED, hj.UNKNOWN)
    algorithm = algorithm_of(kind, "sliced")
    allocation = hj.allocate(
        dataset.train,
        algorithm.model,
        policy=hj.POLICIES["uniform"](),
        scores=hj.SCORES["label_divergence"]()(dataset.train, algorithm.model, small.KEY),
        key=small.KEY,
    )
    history = hj.run(algorithm, dataset, allocation, key=small.KEY, num_rounds=2)
    (last,) = (row for row in history.summary if row["round"] == 2)
    rows = [row for row in history.metrics if (row["round"], row["split"]) == (2, "test")]
    accuracies = [row["accuracy"] for row in rows]
    assert np.isnan(accuracies[0])
    assert np.isfinite(accuracies[1:]).all()
    assert last["mean_accuracy"] == pytest.approx(np.mean(accuracies[1:]))
    assert last["worst_accuracy"] == min(accuracies[1:])
    assert np.isfinite([row["loss"] for row in rows if row["client"] == "client 3"]).all()
    if kind == "lstm":
        assert accuracies[2] == 0
        assert np.isnan(rows[2]["loss"])


def test_nobody_with_an_example_is_told():
    summary = hj.summarize(np.full(3, np.nan), np.zeros(3))
    assert np.isnan(summary.mean)
