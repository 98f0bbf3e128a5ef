"""Names of tracked runs, and of their numbers."""

import math

import pytest

from hasa_jax.simulation.tracking import numbers

ARM = {
    "method": "hasa",
    "policy": "hasa@entropy",
    "extraction": "prefix",
    "aggregation": "coverage",
    "seed": 3,
    "fold": 0,
}


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (ARM, "hasa hasa@entropy prefix coverage seed 003"),
        ({**ARM, "fold": 2}, "hasa hasa@entropy prefix coverage seed 003 fold 002"),
        ({"round": 3}, "run"),
    ],
)
def test_names_of_runs(record, expected):
    assert numbers.run_name(record) == expected


def test_all_arms_seeds_and_folds_have_names_of_their_own():
    others = [{name: f"other {value}"} for name, value in ARM.items() if isinstance(value, str)]
    records = [ARM, *({**ARM, **change} for change in (*others, {"seed": 4}, {"fold": 1}))]
    assert len({*map(numbers.run_name, records)}) == len(records)


def test_names_of_numbers_sort_in_groups():
    record = {
        **ARM,
        "round": 5,
        "mean_accuracy": 0.25,
        "global_worst_accuracy": 0.5,
        "budget_requested": math.nan,
        "budget_macs": 0.75,
        "bytes_down": 12,
        "updates": 3,
        "updates_asked": 4,
        "severed": 0.0,
        "train_seconds": 1.5,
        "evaluation_compile_seconds": 2.5,
        "programs": 2,
        "own": 7,
    }
    assert numbers.numbers_of(record) == {
        "accuracy/mean": 0.25,
        "accuracy/global_worst": 0.5,
        "budget/macs": 0.75,
        "bytes/down": 12.0,
        "updates/arrived": 3.0,
        "updates/asked": 4.0,
        "budget/severed": 0.0,
        "seconds/train": 1.5,
        "seconds/evaluation_compile": 2.5,
        "seconds/programs": 2.0,
        "other/own": 7.0,
    }
