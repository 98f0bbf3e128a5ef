"""Allocations: budgeted or not, drawn once or in every round."""

import jax
import numpy as np
import pytest

from hasa_jax.allocation import POLICIES, BudgetSpec, Policy, allocate
from hasa_jax.base import UserError
from hasa_jax.extraction import EXTRACTIONS
from tests.support import small

KEY = jax.random.key(5)
MODEL = small.lstm(hidden=16)
DATA = small.client_data(sizes=(8, 30, 12, 4), kind="lstm")


def allocated(policy, extraction=None, scores=None, **budget):
    return allocate(
        DATA,
        MODEL,
        policy=policy,
        key=KEY,
        scores=scores,
        budget=BudgetSpec(**budget),
        extraction=extraction,
    )


def test_the_ledger_records_what_an_allocation_without_a_budget_costs():
    ledger = allocated(POLICIES["levels"]([1.0, 0.5])).ledger
    assert np.isnan(ledger.requested)
    assert ledger.width == pytest.approx((38 + 0.5 * 16) / 54)


def test_the_ledger_records_the_budget_and_its_unit():
    ledger = allocated(POLICIES["uniform"](), target=0.4, unit="params").ledger
    assert (ledger.requested, ledger.unit) == (0.4, "params")
    assert 0.35 < ledger.params <= 0.4


def test_a_dynamic_policy_keeps_its_budget_in_every_round():
    allocation = allocated(POLICIES["random"](dynamic=True))
    q = DATA.num_examples / DATA.num_examples.sum()
    drawn = [allocation.sizes_at(round) for round in range(20)]
    assert len({tuple(sizes) for sizes in drawn}) > 1
    for sizes in drawn:
        assert 0.45 < q @ sizes / 16 <= 0.5 + 1e-9


def test_a_static_policy_has_the_same_sizes_in_every_round():
    allocation = allocated(POLICIES["random"]())
    np.testing.assert_array_equal(allocation.sizes_at(7), allocation.sizes)
    assert allocation.redraw is None


def test_a_client_of_width_0_takes_no_part_and_keeps_the_size_of_its_device():
    policy = Policy(lambda stats, budget, key: np.array([1.0, 0.0, 1.0, 0.0]), budgeted=False)
    allocation = allocated(policy, capacities=(1.0, 0.5, 1.0, 0.25))
    assert allocation.takes_part.tolist() == [True, False, True, False]
    assert allocation.sizes.tolist() == [16, 8, 16, 4]
    np.testing.assert_array_equal(allocation.widths, [1.0, 0.5, 1.0, 0.25])
    assert allocation.ledger.width == 1


def test_a_policy_without_a_score_sees_zeros():
    np.testing.assert_array_equal(allocated(POLICIES["uniform"]()).stats.scores, np.zeros(4))


@pytest.mark.parametrize(
    ("scores", "match"),
    [
        (None, "policy hasa orders clients by their heterogeneity: give their `scores`"),
        (np.zeros(3), r"`scores` of shape \(3,\) for 4 clients"),
        (np.array([0.1, 0.2, np.nan, 0.3]), "`scores` must be finite, but that of client 2 is nan"),
    ],
)
def test_scores_that_a_policy_cannot_use_are_refused(scores, match):
    with pytest.raises(UserError, match=match):
        allocated(POLICIES["hasa"](), scores=scores)


def test_single_parameters_have_no_width_budget():
    extraction = EXTRACTIONS["importance"]()
    with pytest.raises(UserError, match="state its budget in params"):
        allocated(POLICIES["uniform"](), extraction)
    allocated(POLICIES["uniform"](), extraction, unit="params")
    assert allocated(POLICIES["full"](), extraction).sizes.tolist() == [16] * 4


@pytest.mark.parametrize(
    ("widths", "expected"),
    [
        ([0.5, np.nan, 0.5, 0.5], "the width nan for client 1"),
        ([0.5, 0.5, 1.5, 0.5], "the width 1.5 for client 2"),
        ([-0.5, 0.5, 0.5, 0.5], "the width -0.5 for client 0"),
        ([0.5, 0.5], "shape \\(2,\\) for 4 clients"),
    ],
)
@pytest.mark.parametrize("budgeted", [False, True])
def test_a_policy_that_returns_no_widths_is_refused(widths, expected, budgeted):
    policy = Policy(lambda stats, budget, key: np.array(widths), budgeted=budgeted, name="mine")
    with pytest.raises(UserError, match=f"policy mine returned .*{expected}"):
        allocated(policy)


def test_only_a_policy_that_reallocates_takes_measurements():
    allocation = allocated(POLICIES["uniform"]())
    for asked in (
        lambda: allocation.after(np.zeros((4, 2)), np.ones(4)),
        lambda: allocation.with_given([allocation.sizes]),
        allocation.reallocating,
    ):
        with pytest.raises(UserError, match=r"follows no measurements: .* `reallocate_every`"):
            asked()
    own = allocated(POLICIES["need"]()).with_given([allocation.sizes])
    assert own.reallocating().given == (allocation.sizes,)


@pytest.mark.parametrize(("num_rounds", "idle"), [(3, True), (5, True), (6, False)])
def test_a_run_that_ends_before_the_first_measurement_is_idle(num_rounds, idle):
    own = allocated(POLICIES["need"](reallocate_every=5)).reallocating()
    assert any(own.begins(round) for round in range(num_rounds)) != idle
    line = own.idle(num_rounds)
    assert bool(line) == idle
    assert not idle or f"after round 5, but the run has {num_rounds} rounds" in line
