"""Folds of a seed: one value, and the worst client over all of them."""

import math
from typing import Any

import pytest

from experiments.analysis import by_seed
from tests.experiments.analysis.workdirs import record

FOLDS = {1: {"a": (0.2, 10), "b": (0.0, 2), "c": (0.3, 5)}, 2: {"a": (0.1, 10), "b": (0.5, 3)}}
"""Accuracy and test examples of each client in each fold; c has none in the second."""


NAMES = ("worst_accuracy", "tail_accuracy", "std_accuracy")


def line(fold, **others):
    own: dict[str, Any] = dict.fromkeys(NAMES, 0.0) | others
    return record("hasa", 0, 0.15, fold=fold, **own)


def of_clients(split):
    return [
        {**line(fold), "split": split, "client": name, "accuracy": str(a), "num_examples": str(n)}
        for fold, clients in FOLDS.items()
        for name, (a, n) in [*clients.items(), *[("c", ("nan", 0))] * (fold == 2)]
    ]


def test_the_worst_client_is_that_of_all_folds():
    """a has .15, b (0 + 1.5) / 5 = .3 though it is the worst of fold 1, c .3 of one fold."""
    summary = [line(1), line(2)]
    pooled = by_seed.pooled(summary, of_clients("test"), 0.25)
    for one in pooled:
        assert float(one["worst_accuracy"]) == pytest.approx(0.15)
        assert float(one["tail_accuracy"]) == pytest.approx(0.15)
        assert float(one["std_accuracy"]) == pytest.approx(0.0707, abs=1e-4)
        assert one["mean_accuracy"] == "0.15"
    two = by_seed.pooled(summary, of_clients("test"), 0.6)
    assert float(two[0]["tail_accuracy"]) == pytest.approx((0.15 + 0.3) / 2)
    assert summary == [line(1), line(2)]


def test_validation_is_not_read_and_what_is_missing_stays():
    summary = [line(1), line(2)]
    assert by_seed.pooled(summary, of_clients("validation"), 0.25) == summary
    served = [line(fold, global_worst_accuracy=0.5, global_tail_accuracy="") for fold in (1, 2)]
    pooled = by_seed.pooled(served, of_clients("supernet_test"), 0.25)
    assert float(pooled[0]["global_worst_accuracy"]) == pytest.approx(0.15)
    assert pooled[0]["global_tail_accuracy"] == ""
    assert pooled[0]["worst_accuracy"] == "0.0"


def test_a_client_has_the_mean_of_its_folds_by_their_examples():
    """.2 of 10 and .5 of 20 are .4; what is not known and what has no examples does not count."""

    def accuracy(*pairs):
        return by_seed.client_accuracy([{"accuracy": str(a), "num_examples": n} for a, n in pairs])

    assert accuracy((0.2, "10"), (0.5, "20")) == pytest.approx(0.4)
    assert accuracy((0.2, "10"), ("nan", "20"), (0.9, "0")) == pytest.approx(0.2)
    assert accuracy((0.2, ""), (0.4, "")) == pytest.approx(0.3)
    assert accuracy((0.7, "3")) == 0.7
    assert math.isnan(accuracy((0.7, "0")))
    assert math.isnan(accuracy((0.7, "0"), ("nan", "5")))
