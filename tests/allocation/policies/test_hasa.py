"""HASA's allocation: test vector A, ranks and direction."""

import numpy as np
import pytest

from hasa_jax.allocation.budget import PROJECTIONS
from hasa_jax.allocation.policies import hasa, inverse_hasa
from hasa_jax.allocation.policies.hasa import normalized_ranks
from hasa_jax.allocation.scores.label_divergence import divergence_of_counts
from tests.allocation.clients import KEY, budget_of, stats_of


@pytest.mark.parametrize("projection", PROJECTIONS)
def test_vector_a_of_three_clients(projection):
    counts = np.array([[9, 1], [1, 9], [5, 5]])
    scores = divergence_of_counts(counts, alpha=1.0)
    np.testing.assert_allclose(scores, [0.06465997, 0.06465997, 0.0], atol=1e-8)
    np.testing.assert_allclose(normalized_ranks(scores), [0.75, 0.75, 0.0])
    budget = budget_of(projection=projection, units=100)
    widths = hasa().widths(stats_of([1, 1, 1], scores), budget, KEY)
    np.testing.assert_allclose(widths, [0.65, 0.65, 0.20], atol=1e-9)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ([3.0, 1.0, 2.0], [1.0, 0.0, 0.5]),
        ([2.0, 1.0, 2.0], [0.75, 0.0, 0.75]),
        ([4.0, 4.0], [0.5, 0.5]),
        ([7.0], [0.5]),
        ([1.0, np.nan], [np.nan, np.nan]),
    ],
)
def test_ranks_by_hand(scores, expected):
    np.testing.assert_array_equal(normalized_ranks(np.array(scores)), expected)


def test_equal_scores_make_it_uniform():
    stats = stats_of([10, 20, 30], scores=[1.0, 1.0, 1.0])
    np.testing.assert_allclose(hasa().widths(stats, budget_of(), KEY), 0.5)


def test_widths_are_monotone_in_the_score():
    scores = np.array([0.02, 0.09, 0.06, 0.06, 0.07, 0.08, 0.17])
    stats = stats_of([3041, 1461, 778, 555, 403, 242, 28], scores)
    order = np.argsort(scores)
    rising = hasa().widths(stats, budget_of(), KEY)[order]
    falling = inverse_hasa().widths(stats, budget_of(), KEY)[order]
    assert (np.diff(rising) >= 0).all()
    assert (np.diff(falling) <= 0).all()


def test_inverse_is_hasa_of_negated_scores():
    stats = stats_of([10, 20, 30, 5])
    mirrored = stats_of([10, 20, 30, 5], scores=-stats.scores)
    np.testing.assert_array_equal(
        inverse_hasa().widths(stats, budget_of(), KEY), hasa().widths(mirrored, budget_of(), KEY)
    )
