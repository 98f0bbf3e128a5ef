"""Records of a round by arm and seed, and whether budgets match."""

import math

import pytest

from experiments.analysis import matched, results, tables
from experiments.analysis.results import Arm
from experiments.rooms import ComparisonConfig
from tests.experiments.analysis.workdirs import record, records, write


def test_a_round_has_means_over_folds(tmp_path):
    folds = [record("uniform", 0, accuracy, fold=f) for f, accuracy in enumerate((0.1, 0.3), 1)]
    other = [own | {"round": "2", "mean_accuracy": "0.9"} for own in folds]
    folder = write(tmp_path, [*folds, *other], {"data": {"eval_folds": 2}})
    found = matched.at_round(results.read([folder]), 3)
    assert float(found[Arm("hasa", "uniform")][0]["mean_accuracy"]) == pytest.approx(0.2)


def test_budgets_match_on_every_common_seed():
    base = {0: 0.5, 1: 0.5, 2: 0.5}
    assert matched.budgets_match({0: 0.51, 1: 0.49, 7: 0.9}, base)
    # The means of the seeds agree.
    assert not matched.budgets_match({0: 0.55, 1: 0.45}, base)
    assert not matched.budgets_match({0: math.nan, 1: 0.5}, base)
    assert not matched.budgets_match({7: 0.5}, base)


def test_a_cell_without_a_number_is_not_known():
    found = matched.achieved({0: {"budget_macs": "0.5"}, 1: {"budget_macs": ""}, 2: {}}, "macs")
    assert found[0] == 0.5
    assert math.isnan(found[1])
    assert math.isnan(found[2])


def test_only_what_measures_has_a_remark():
    line = matched.measuring_remark("need", "fedavg:need", 1.03, "fedavg:uniform", 1.0)
    assert line == (
        "fedavg:need: its measurements are in the executed MACs (1.030 of the supernet's, "
        "fedavg:uniform 1.000) and in the bytes, but budgets match without them."
    )
    assert not matched.measuring_remark("random", "random", 1.03, "uniform", 1.0)
    assert not matched.measuring_remark("need", "need", math.nan, "uniform", 1.0)


def test_the_table_of_an_arm_that_measures_says_so(tmp_path):
    need = [own | {"budget_executed": "0.53"} for own in records("need", [0.11, 0.15])]
    folder = write(tmp_path, records("uniform", [0.10, 0.12]) + need)
    plain = " ".join(text_of(folder).split())
    assert "need: its measurements are in the executed MACs (0.530 of the supernet's, uniform" in (
        plain
    )


def text_of(folder):
    """The tables of one workdir."""
    return tables.text_of(results.read([folder]), ComparisonConfig())
