"""Curves of loss by cost."""

import numpy as np
import pytest

from hasa_jax.allocation import Measured
from hasa_jax.allocation.curves import Curves, convex, curves_of, shrunk

COSTS = np.array([0.2, 0.4, 0.6, 0.8])


def test_falling_convex_losses_stay_as_they_are():
    losses = np.array([[3.0, 2.0, 1.5, 1.4], [1.0, 1.0, 1.0, 1.0]])
    np.testing.assert_allclose(convex(losses, COSTS), losses, atol=1e-12)


def test_the_gains_get_their_concave_majorant():
    # The slopes .5 and 1 become .75 and .75; what rises becomes flat.
    np.testing.assert_allclose(
        convex(np.array([[3.0, 2.5, 1.5, 1.6]]), COSTS), [[3.0, 2.25, 1.5, 1.5]], atol=1e-12
    )
    # Costs that differ weigh the slopes: 1 over .5 of cost and 3 over 1 become 7 / 3.
    np.testing.assert_allclose(
        convex(np.array([[5.0, 4.5, 1.5]]), np.array([0.0, 0.5, 1.5])),
        [[5.0, 5 - 7 / 6, 1.5]],
        atol=1e-12,
    )


@pytest.mark.parametrize("seed", range(3))
def test_every_fit_is_falling_convex_and_a_fixed_point(seed):
    losses = np.random.default_rng(seed).normal(size=(20, 5))
    costs = np.cumsum(np.random.default_rng(seed + 10).random(5) + 0.1)
    fitted = convex(losses, costs)
    slopes = Curves(costs, fitted).slopes
    assert (slopes >= -1e-12).all()
    assert (np.diff(slopes, axis=1) <= 1e-9).all()
    np.testing.assert_array_equal(fitted[:, 0], losses[:, 0])
    np.testing.assert_allclose(convex(fitted, costs), fitted, atol=1e-12)


def test_curves_are_linear_between_costs():
    curves = Curves(COSTS, np.array([[3.0, 2.0, 1.5, 1.4]] * 3))
    np.testing.assert_allclose(curves.at(np.array([0.2, 0.3, 0.8])), [3.0, 2.5, 1.4], atol=1e-12)
    np.testing.assert_array_equal(Curves(COSTS[:1], np.ones((2, 1))).at(np.array([0.2, 0.2])), 1)


def test_few_targets_give_the_mean_curve():
    losses = np.array([[4.0, 2.0], [1.0, 1.0], [np.nan, np.nan]])
    targets = np.array([300.0, 100.0, 0.0])
    mean = [3.25, 1.75]
    # By hand: a = .75, .5 and 0.
    expected = [[0.75 * 4 + 0.25 * 3.25, 0.75 * 2 + 0.25 * 1.75], [2.125, 1.375], mean]
    np.testing.assert_allclose(shrunk(losses, targets, 100.0), expected)
    np.testing.assert_allclose(shrunk(losses, targets, 0.0)[:2], losses[:2])
    np.testing.assert_allclose(shrunk(losses, targets, 1e12), [mean] * 3, rtol=1e-6)
    np.testing.assert_array_equal(shrunk(losses[2:], targets[2:], 100.0), [[0.0, 0.0]])


def test_who_did_not_measure_a_width_does_not_bend_the_mean_curve():
    # The second client has a lower loss, and measured the first width only.
    losses = np.array([[4.0, 3.0], [1.0, np.nan]])
    found = shrunk(losses, np.array([100.0, 100.0]), 1e12)
    np.testing.assert_allclose(found, [[2.5, 1.5]] * 2, rtol=1e-6)


def test_curves_of_a_measurement_are_shrunk_and_then_convex():
    losses = np.array([[3.0, 2.5, 1.5, 1.6]])
    measured = Measured(COSTS, losses, np.array([50.0]), None)
    np.testing.assert_allclose(curves_of(measured, COSTS, 100.0).losses, convex(losses, COSTS))
