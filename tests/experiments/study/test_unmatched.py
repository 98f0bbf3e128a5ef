"""Before a run begins, it says which arms its tables will not compare."""

import types

import pytest

from experiments.config import RunConfig, with_fields
from experiments.study.arm import Arm
from experiments.study.unmatched import unmatched

HASA, UNIFORM = Arm("hasa", "hasa"), Arm("hasa", "uniform")


def trial(**ledger):
    return types.SimpleNamespace(
        allocation=types.SimpleNamespace(ledger=types.SimpleNamespace(**ledger))
    )


def lines(of_hasa, of_uniform, **values):
    trials = {
        UNIFORM: [trial(**own) for own in of_uniform],
        HASA: [trial(**own) for own in of_hasa],
    }
    return unmatched(with_fields(RunConfig(), values), trials)


def test_an_arm_of_another_budget_is_named_with_both_budgets():
    (line,) = lines(
        [{"width": 0.35}, {"width": 0.37}], [{"width": 0.4}, {"width": 0.38}], budget_unit="width"
    )
    assert line.startswith("hasa takes 0.360 of the supernet in width and uniform 0.390: tables")


@pytest.mark.parametrize("values", [{"budget_unit": "width"}, {"matched": "width"}])
def test_what_matches_within_a_hundredth_is_compared(values):
    one, other = {"width": 0.41, "macs": 0.1}, {"width": 0.4, "macs": 0.9}
    assert lines([one], [other], **{"budget_unit": "macs"} | values) == ()


def test_one_seed_that_does_not_match_is_enough():
    own, base = [{"width": 0.4}, {"width": 0.42}], [{"width": 0.4}, {"width": 0.4}]
    assert len(lines(own, base, budget_unit="width")) == 1
    assert lines(own[:1], base[:1], budget_unit="width") == ()
