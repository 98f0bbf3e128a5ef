"""Measured need."""

import dataclasses

import jax
import numpy as np
import pytest

from hasa_jax.allocation import BudgetSpec, ClientStats, Measured
from hasa_jax.allocation.policies import need, random
from hasa_jax.allocation.policies.need import NEED_OBJECTIVES
from hasa_jax.base import UserError

KEY = jax.random.key(2)
SIZES = np.array([3041, 1461, 778, 555, 403, 242, 28])
WIDTHS = np.array([0.2, 0.4, 0.6, 0.8])
CURVE = np.array([4.0, 3.5, 3.3, 3.2])
TARGETS = np.full(7, 1e6)
UNITS = 100


def budget_of(**fields):
    return BudgetSpec(**fields).bind(np.arange(UNITS + 1) / UNITS)


def stats_of(losses, targets=TARGETS, current=None, caps=0.8, sizes=SIZES):
    caps = np.broadcast_to(np.asarray(caps), len(sizes))
    measured = Measured(WIDTHS, np.asarray(losses, float), targets, current)
    return ClientStats(sizes, np.zeros(len(sizes)), caps, measured)


def widths_of(policy, stats, **fields):
    return policy.widths(stats, budget_of(**fields), KEY)


@pytest.mark.parametrize("objective", NEED_OBJECTIVES)
@pytest.mark.parametrize("target", [0.3, 0.5, 0.7])
def test_the_budget_is_met_and_never_exceeded(objective, target):
    losses = np.sort(np.random.default_rng(0).random((7, 4)), axis=1)[:, ::-1]
    stats = stats_of(losses, targets=SIZES / 10)
    spent = stats.shares @ widths_of(need(objective), stats, target=target)
    assert target - 0.01 < spent <= target + 1e-9


def test_single_units_use_up_what_coarse_sizes_leave():
    stats = stats_of([CURVE] * 7)
    coarse = BudgetSpec().bind(np.arange(17) / 16)
    spent = stats.shares @ need("worst").widths(stats, coarse, KEY)
    # A unit of the largest client costs .029.
    assert 0.5 - 0.002 < spent <= 0.5 + 1e-9


def test_who_needs_width_gets_it():
    losses = np.tile([[2.0, 2.0, 2.0, 2.0]], (7, 1))
    losses[3] = [5.0, 4.0, 3.0, 2.5]
    for objective in NEED_OBJECTIVES:
        assert widths_of(need(objective), stats_of(losses))[3] == pytest.approx(0.8)
    # By size, the widest ones are those of equal need that are cheap.
    widths = widths_of(need(), stats_of([CURVE] * 7))
    assert (np.diff(widths) >= 0).all()


def test_equal_worst_losses_get_equal_widths():
    np.testing.assert_allclose(widths_of(need("worst"), stats_of([CURVE] * 7)), 0.5)


def test_without_any_target_widths_are_equal():
    stats = stats_of(np.full((7, 4), np.nan), targets=np.zeros(7))
    np.testing.assert_allclose(widths_of(need(), stats), 0.5)


def test_bounds_and_caps_hold():
    caps = np.array([0.8, 0.3, 0.8, 0.8, 0.5, 0.8, 0.8])
    losses = np.where(caps[:, None] >= WIDTHS, CURVE, np.nan)
    for objective in NEED_OBJECTIVES:
        widths = widths_of(need(objective), stats_of(losses, caps=caps))
        assert (widths >= 0.2 - 1e-9).all()
        assert (widths <= caps + 1e-9).all()


def test_a_client_of_few_targets_follows_the_others():
    losses = np.tile(CURVE, (7, 1))
    losses[6] = [9.0, 8.0, 3.0, 1.0]
    targets = np.append(np.full(6, 1e6), 2.0)
    same = widths_of(need("worst", shrinkage=1e9), stats_of(losses, targets))
    np.testing.assert_allclose(same, widths_of(need("worst"), stats_of([CURVE] * 7)))
    assert widths_of(need("worst", shrinkage=0), stats_of(losses, targets))[6] > 0.55


def test_widths_stay_unless_others_gain_more_than_the_margin():
    losses, sizes = np.array([[2.0, 1.5, 1.0, 0.5], [2.0, 1.52, 1.04, 0.56]]), np.array([10, 10])

    def after(current, margin):
        stats = stats_of(losses, np.full(2, 1e9), np.asarray(current), sizes=sizes)
        return widths_of(need(shrinkage=0, margin=margin), stats)

    np.testing.assert_allclose(after([0.5, 0.5], 0.0), [0.8, 0.2])
    # Slopes 2.5 and 2.4: of a gain of .75 from the least widths, other widths lose .015, so 2 %.
    np.testing.assert_allclose(after([0.5, 0.5], 0.019), [0.8, 0.2])
    np.testing.assert_allclose(after([0.5, 0.5], 0.021), [0.5, 0.5])
    np.testing.assert_allclose(after([0.2, 0.8], 0.039), [0.8, 0.2])
    np.testing.assert_allclose(after([0.2, 0.8], 0.041), [0.2, 0.8])
    # What is best stays, without any margin.
    np.testing.assert_allclose(after([0.8, 0.2], 0.0), [0.8, 0.2])


def test_before_a_measurement_widths_are_spread_and_drawn():
    stats = dataclasses.replace(stats_of([CURVE] * 7), measured=None)
    first, second = (need().widths(stats, budget_of(), jax.random.key(seed)) for seed in (0, 1))
    assert (first != second).any()
    spread = random().widths(stats, budget_of(), jax.random.key(0))
    assert (first >= spread - 0.01 - 1e-9).all()
    for widths in (first, second):
        assert 0.499 < stats.shares @ widths <= 0.5 + 1e-9


def test_the_paper_projection_does_not_miss_its_budget():
    stats = dataclasses.replace(stats_of([CURVE] * 7), measured=None)
    for seed in range(10):
        widths = need().widths(stats, budget_of(projection="paper"), jax.random.key(seed))
        assert 0.499 < stats.shares @ widths <= 0.5 + 1e-9


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"objective": "best"}, "objective"),
        ({"reallocate_every": 1}, "reallocate_every"),
        ({"num_widths": 1}, "num_widths"),
        ({"held_out": 0.0}, "held_out"),
        ({"held_out": 1.0}, "held_out"),
        ({"margin": -0.1}, "margin"),
        ({"shrinkage": float("nan")}, "shrinkage"),
        ({"tail_fraction": 2.0}, "tail_fraction"),
    ],
)
def test_what_is_out_of_range_is_refused(options, message):
    with pytest.raises(UserError, match=f"`{message}`"):
        need(**options)


def test_a_budget_out_of_reach_is_refused():
    with pytest.raises(UserError, match="infeasible"):
        widths_of(need(), stats_of([CURVE] * 7), target=0.9)
