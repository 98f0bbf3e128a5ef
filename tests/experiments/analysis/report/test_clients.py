"""What the page knows of clients: means by hand, and honest limits."""

import dataclasses
import json

import numpy as np
import pytest

from experiments.analysis import results
from experiments.analysis.compared import compared_of
from experiments.analysis.report import clients
from experiments.rooms import ComparisonConfig
from tests.experiments.analysis.report.populations import write_population
from tests.experiments.analysis.workdirs import in_folds


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """Seven clients, three arms, three seeds and rounds."""
    names = [f"client {place}" for place in range(7)]
    folder = write_population(tmp_path_factory.mktemp("seven"), names)
    return compared_of(results.read([folder]), ComparisonConfig())


def accuracies(compared, policy, client, round):
    """Reads test accuracies by seed, from the records."""
    return {
        int(r["seed"]): float(r["accuracy"])
        for r in compared.found.metrics
        if (r["policy"], r["client"], r["round"], r["split"]) == (policy, client, round, "test")
    }


def test_means_and_intervals_are_over_seeds(compared):
    found = clients.clients_of(compared)
    own = np.array(list(accuracies(compared, "hasa", "client 4", "6").values()))
    assert found.accuracy[1, 4, 1] == pytest.approx(own.mean())
    # Student's quantile with two degrees of freedom is 4.3027.
    assert found.half[1, 4, 1] == pytest.approx(4.3027 * own.std(ddof=1) / 3**0.5, rel=1e-4)


def test_differences_are_paired_by_seed(compared):
    found = clients.clients_of(compared)
    own, base = (accuracies(compared, arm, "client 2", "9") for arm in ("hasa", "uniform"))
    gains = np.array([own[seed] - base[seed] for seed in range(3)])
    assert found.gain[1, 2, 0] == pytest.approx(gains.mean())
    assert found.gain[1, 2, 1] == pytest.approx(4.3027 * gains.std(ddof=1) / 3**0.5, rel=1e-4)
    assert np.isnan(found.gain[found.reference]).all()


def test_everything_is_there_if_it_is_little(compared):
    found = clients.clients_of(compared)
    assert (len(found.names), found.total, found.rounds, found.limits) == (7, 7, (3, 6, 9), "")
    assert found.examples["test"].tolist() == [20, 21, 22, 23, 24, 25, 26]


def test_of_too_many_the_worst_and_the_best_are_kept(compared):
    every, few = clients.clients_of(compared), clients.clients_of(compared, most_points=4 * 3 * 3)
    order = np.argsort(every.accuracy[0, :, every.chosen])
    kept = [every.names.index(name) for name in few.names]
    assert len(kept) == 4 == few.accuracy.shape[1]
    assert kept == sorted(kept)
    assert {order[0], order[-1]} <= set(kept)
    assert few.limits.startswith("To keep this file small, it has 4 of 7 clients")
    np.testing.assert_array_equal(few.accuracy, every.accuracy[:, kept])
    np.testing.assert_array_equal(few.gain, every.gain[:, kept])
    # Ranks are among all clients, not among those that are kept.
    np.testing.assert_array_equal(few.rank, every.rank[:, kept])
    assert sorted(every.rank[0]) == [1, 2, 3, 4, 5, 6, 7]
    assert (few.rank[0, kept.index(order[0])], few.rank[0, kept.index(order[-1])]) == (7, 1)
    assert few.ranked.tolist() == [7, 7, 7]
    np.testing.assert_array_equal(few.examples["test"], every.examples["test"][kept])


def test_rounds_of_a_long_run_are_spaced(tmp_path):
    folder = write_population(
        tmp_path, ["a", "b"], seeds=1, arms=("uniform",), rounds=tuple(range(1, 101))
    )
    compared = compared_of(results.read([folder]), ComparisonConfig())
    found = clients.clients_of(compared)
    assert clients.MOST_ROUNDS <= len(found.rounds) <= clients.MOST_ROUNDS + 1
    assert {1, compared.chosen, 100} <= set(found.rounds)
    assert f"{len(found.rounds)} of 100 rounds" in found.limits
    assert np.isnan(found.half).all()  # One seed has no interval.


def test_json_is_of_integers(compared):
    found = clients.clients_of(compared)
    said = json.loads(json.dumps(clients.to_json(found), allow_nan=False))
    assert said["accuracy"][1][4 * 3 + 1] == round(1e4 * found.accuracy[1, 4, 1])
    assert said["gain"][found.reference] == [None] * 14
    assert said["width"][0][:3] == [500, 500, 500]
    assert said["score"] == [[None] * 7] * 3
    assert said["rounds"][said["chosen"]] == compared.chosen


def test_a_client_without_test_examples_has_no_accuracy(compared):
    metrics = [
        {**r, "num_examples": "0"} if r["client"] == "client 3" else r
        for r in compared.found.metrics
    ]
    few = dataclasses.replace(compared, found=dataclasses.replace(compared.found, metrics=metrics))
    said = clients.to_json(clients.clients_of(few))
    assert said["accuracy"][0][9:12] == [None] * 3
    assert None not in said["accuracy"][0][:9]
    assert said["ranked"] == [6] * 3
    assert said["rank"][0][3] is None


def test_folds_count_by_their_test_examples(compared):
    folds = in_folds(compared.found.metrics)
    own = dataclasses.replace(compared, found=dataclasses.replace(compared.found, metrics=folds))
    one, other = map(clients.clients_of, (compared, own))
    np.testing.assert_allclose(other.accuracy, one.accuracy)
    np.testing.assert_allclose(other.gain, one.gain)


def test_equal_clients_share_the_best_of_their_places():
    own = np.array([[0.3, 0.2, 0.3, np.nan, 0.1]])
    np.testing.assert_array_equal(clients._ranks(own), [[1, 3, 1, np.nan, 4]])
