"""Clients with no example, with one, with fewer than a batch, or with unknown words only."""

import functools

import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution.layout import place
from tests.support import small

EXAMPLES = (0, 1, 3, 12)
SGD = optax.sgd(0.1)


@functools.cache
def program_of(kind, mode):
    """Makes a program once, so that it is compiled once."""
    data = small.client_data(EXAMPLES, kind)
    return small.program(small.supernet(kind), data, mode, optimizer=SGD)


def one_round(kind, mode, weights=None, data=None, clients=(0, 1, 2, 3)):
    """Trains a round at half size; returns the parameters around it, and the report by client."""
    program, data = program_of(kind, mode), data or small.client_data(EXAMPLES, kind)
    clients, examples = np.array(clients), data.num_examples
    sizes = np.full(4, max(program.model.groups.values()) // 2)
    # Fewer clients leave slots of the same program empty.
    layout = small.cohort(program, data, sizes).layout
    weights = examples if weights is None else np.asarray(weights)
    cohort = place(layout, clients, sizes[clients], weights[clients], examples)
    start, end, report = small.one_round(program, data, cohort)
    return start.params, end.params, small.by_client(cohort, report)


EITHER = [("mlp", "masked"), ("lstm", "sliced")]
OTHERS = [
    pytest.param(kind, mode, marks=pytest.mark.slow)
    for kind, mode in [("mlp", "sliced"), ("lstm", "masked")]
]


@pytest.mark.parametrize(("kind", "mode"), EITHER + OTHERS)
def test_a_client_without_examples_changes_nothing(kind, mode):
    _, with_it, report = one_round(kind, mode)
    _, without, _ = one_round(kind, mode, clients=(1, 2, 3))
    small.assert_trees_close(with_it, without, atol=1e-6)
    assert report.finite.all()
    assert report.metrics.count[0] == 0
    # Nor does it where every client weighs the same: its update is zero, and counts as one.
    start, end, _ = one_round(kind, mode, weights=[1.0, 0, 0, 0])
    small.assert_trees_equal(start, end)


@pytest.mark.parametrize(("kind", "mode"), EITHER)
def test_one_example_and_less_than_a_batch_are_trained_on(kind, mode):
    for client, count in ((1, 1), (2, 3)):
        start, end, report = one_round(kind, mode, weights=np.eye(4)[client])
        assert small.max_difference(start, end) > 1e-4
        if kind == "mlp":
            assert report.metrics.count[client] == count


@pytest.mark.parametrize("mode", ["sliced", pytest.param("masked", marks=pytest.mark.slow)])
def test_a_client_of_unknown_words_only_learns_nothing(mode):
    data = small.client_data(EXAMPLES, "lstm")
    own = slice(data.offsets[2], data.offsets[3])
    data.targets[own] = np.where(data.targets[own] == hj.IGNORED, hj.IGNORED, hj.UNKNOWN)
    start, end, report = one_round("lstm", mode, weights=[0, 0, 3, 0], data=data)
    small.assert_trees_equal(start, end)
    assert report.metrics.loss_count[2] == 0
    assert report.metrics.count[2] > 0


@pytest.mark.parametrize("kind", ["lstm", pytest.param("mlp", marks=pytest.mark.slow)])
def test_a_run_with_all_of_them_reports_what_it_can(kind):
    dataset = small.dataset(EXAMPLES, kind)
    if kind == "lstm":
        for part in (dataset.train, dataset.validation, dataset.test):
            own = slice(part.offsets[2], part.offsets[3])
            part.targets[own] = np.where(part.targets[own] == hj.IGNORED, hj.IGNORED, hj.UNKNOWN)
    program = program_of(kind, "sliced")
    (history,) = hj.run_trials(program, [small.trial(program, dataset)], num_rounds=2)
    (last,) = history.summary
    tested = [record for record in history.metrics if record["split"] == "test"]
    accuracies = [record["accuracy"] for record in tested]
    assert np.isnan(accuracies[0])
    assert np.isfinite(accuracies[1:]).all()
    assert last["mean_accuracy"] == pytest.approx(np.mean(accuracies[1:]))
    assert last["worst_accuracy"] == min(accuracies[1:])
    assert np.isfinite(tested[3]["loss"])
    if kind == "lstm":
        assert accuracies[2] == 0
        assert np.isnan(tested[2]["loss"])
