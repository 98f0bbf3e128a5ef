"""Inverse-size allocation: HASA of the negated numbers of examples."""

import numpy as np

from hasa_jax.allocation.policies import hasa, inverse_size
from tests.allocation.clients import KEY, budget_of, random_stats, stats_of


def test_it_is_hasa_where_the_score_falls_with_the_size():
    examples = [300, 20, 100, 20]
    scored = stats_of(examples, scores=[1 / n for n in examples])
    expected = hasa().widths(scored, budget_of(), KEY)
    np.testing.assert_array_equal(inverse_size().widths(scored, budget_of(), KEY), expected)


def test_scores_are_not_read():
    stats = random_stats(np.random.default_rng(0))
    other = stats_of(stats.num_examples, scores=stats.scores[::-1])
    widths = inverse_size().widths(stats, budget_of(), KEY)
    np.testing.assert_array_equal(inverse_size().widths(other, budget_of(), KEY), widths)
    assert (np.diff(widths[np.argsort(stats.num_examples)]) <= 0).all()
