"""HASA's score: scale and range."""

import numpy as np

from hasa_jax.allocation.scores.label_divergence import divergence_of_counts, jensen_shannon


def test_divergence_without_smoothing_ignores_scale():
    counts = np.array([[9, 1, 0], [1, 9, 0], [5, 5, 2]])
    np.testing.assert_allclose(
        divergence_of_counts(counts, 0.0), divergence_of_counts(7 * counts, 0.0)
    )
    assert divergence_of_counts(np.array([[1, 0], [0, 1]]), 0.0).max() < np.log(2)


def test_disjoint_distributions_are_ln_2_apart():
    np.testing.assert_allclose(
        jensen_shannon(np.array([1.0, 0.0]), np.array([0.0, 1.0])), np.log(2)
    )
