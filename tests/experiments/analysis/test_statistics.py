"""Intervals and p values: those of SciPy, and by hand."""

import numpy as np
import pytest
import scipy.stats

from experiments.analysis import statistics


def test_interval_is_students():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    low, high = scipy.stats.t.interval(0.95, 3, loc=3.0, scale=scipy.stats.sem(values))
    assert 3.0 - statistics.interval(values) == pytest.approx(low)
    assert 3.0 + statistics.interval(values) == pytest.approx(high)
    assert np.isnan(statistics.interval(np.array([1.0])))


def test_p_values_are_those_of_paired_tests():
    one = np.array([0.1, 0.2, 0.35, 0.3, 0.5])
    other = np.array([0.12, 0.25, 0.3, 0.4, 0.57])
    t_test, wilcoxon = statistics.p_values(other - one)
    assert t_test == pytest.approx(scipy.stats.ttest_rel(other, one).pvalue)
    assert wilcoxon == pytest.approx(scipy.stats.wilcoxon(other, one).pvalue)


@pytest.mark.parametrize("differences", [[0.0, 0.0, 0.0], [0.1], [0.2, 0.2]])
def test_p_values_are_missing_without_variation(differences):
    assert np.isnan(statistics.p_values(np.array(differences))).all()


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_the_least_p_of_wilcoxons_test_is_that_of_differences_of_one_sign(count):
    _, p = statistics.p_values(np.arange(1.0, count + 1))
    assert statistics.least_wilcoxon(count) == pytest.approx(p)


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([50.0], "50.00"),
        ([50.0, 52.0], "51.00 ± 12.71"),
        ([2.0, 8.0], "5.00 [0, 43]"),
        ([92.0, 98.0], "95.00 [57, 100]"),
        ([0.0, 100.0], "50.00 [0, 100]"),
        ([0.0, 0.0], "0.00 ± 0.00"),
    ],
)
def test_intervals_of_accuracies_stay_within_0_and_100(values, text):
    assert statistics.accuracy_text(np.array(values)) == text


def test_bands_are_cut():
    assert statistics.band(5.0, 10.0) == (0.0, 15.0)
    assert statistics.band(95.0, 10.0) == (85.0, 100.0)
    assert statistics.band(50.0, float("nan")) == (50.0, 50.0)


def test_texts():
    assert statistics.difference_text(np.array([1.0, 3.0])).startswith("+2.00 ± 12.71 (")
    assert statistics.difference_text(np.array([-1.0])) == "-1.00 (n/a, n/a)"
    assert statistics.p_text(0.0004) == "<0.001"
    assert statistics.p_text(0.0005) == "0.001"
