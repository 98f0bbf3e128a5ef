"""Intervals and p values: those of SciPy, and by hand."""

import itertools

import numpy as np
import pytest
import scipy.stats

from experiments.analysis import statistics, verdicts


def test_interval_is_students():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    low, high = scipy.stats.t.interval(0.95, 3, loc=3.0, scale=scipy.stats.sem(values))
    assert 3.0 - statistics.interval(values) == pytest.approx(low)
    assert 3.0 + statistics.interval(values) == pytest.approx(high)
    assert np.isnan(statistics.interval(np.array([1.0])))


def test_p_values_are_those_of_paired_tests():
    one = np.array([0.1, 0.2, 0.35, 0.3, 0.5])
    other = np.array([0.12, 0.25, 0.3, 0.4, 0.57])
    t_test, wilcoxon = statistics.t_p(other - one), statistics.wilcoxon_p(other - one)
    assert t_test == pytest.approx(scipy.stats.ttest_rel(other, one).pvalue)
    assert wilcoxon == pytest.approx(scipy.stats.wilcoxon(other, one).pvalue)


@pytest.mark.parametrize("differences", [[0.0, 0.0, 0.0], [0.1], [0.2, 0.2]])
def test_p_values_are_missing_without_variation(differences):
    for test in (statistics.t_p, statistics.wilcoxon_p):
        assert np.isnan(test(np.array(differences)))


@pytest.mark.parametrize(
    "values",
    [
        # One more hit in each seed: means of other numbers, which differ in the last bits.
        [100 / 21, 100 / 21 + 7e-15],
        [4.761904761904759, 4.761904761904762, 4.761904761904766, 4.761904761904759, 100 / 21],
        [7e-15, 1.4e-14],
        [50.0, 50.0 + 2e-14],
    ],
)
def test_rounding_is_no_variation(values):
    differences = np.array(values)
    assert np.ptp(differences) > 0
    assert statistics.no_variation(differences)
    assert statistics.interval(differences) == 0
    for test in (statistics.t_p, statistics.wilcoxon_p):
        assert np.isnan(test(differences))
    assert np.isnan(statistics.bootstrap_interval(differences)).all()
    (adjusted,) = statistics.holm([statistics.t_p(differences)])
    assert statistics.verdict(float(differences.mean()), adjusted) == "not told apart"
    found = verdicts.of({"mine": differences})["mine"]
    assert found.text == f"not told apart at {len(differences)} seeds"
    assert np.isnan(found.adjusted)
    assert verdicts.seeds_for(differences, 0.25) == "n/a"
    # One hit of a test split of 10^7 examples is variation.
    assert not statistics.no_variation(np.array([4.0, 4.0 + 1e-5]))
    assert not statistics.no_variation(np.array([4.0, np.nan]))


@pytest.mark.parametrize("count", [2, 3, 5, 8])
def test_the_least_p_is_that_of_differences_of_one_sign(count):
    differences = np.arange(1.0, count + 1)
    p = statistics.wilcoxon_p(differences)
    assert statistics.sign_flip_p(differences) == pytest.approx(p)
    assert statistics.least_p(count) == pytest.approx(p)


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
    assert statistics.p_text(0.0004) == "<0.001"
    assert statistics.p_text(0.0005) == "0.001"


def test_holm_by_a_published_example():
    """R's p.adjust(c(0.01, 0.04, 0.03, 0.005), "holm"), as in Holm 1979: .03, .06, .06, .02."""
    assert statistics.holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert statistics.holm([0.4, 0.9, 0.5]) == pytest.approx([1, 1, 1])
    assert statistics.holm([0.02]) == [0.02]
    assert statistics.holm([]) == []


def test_a_test_that_there_is_not_is_not_of_the_family():
    assert statistics.holm([0.01, float("nan"), 0.03]) == pytest.approx(
        [0.02, float("nan"), 0.03], nan_ok=True
    )


@pytest.mark.parametrize("seed", range(3))
def test_sign_flips_are_enumerated(seed):
    differences = np.random.default_rng(seed).normal(0.5, 1, 7)
    means = [
        abs(np.mean(np.array(signs) * differences))
        for signs in itertools.product([1, -1], repeat=7)
    ]
    expected = np.mean(np.array(means) >= abs(differences.mean()) - 1e-12)
    assert statistics.sign_flip_p(differences) == pytest.approx(expected)


def test_sign_flips_by_hand():
    """Of 3, 2 and -1, sums of 4 or more: 6 and 4, and their opposites, of eight."""
    assert statistics.sign_flip_p(np.array([3.0, 2.0, -1.0])) == 0.5
    assert statistics.sign_flip_p(np.array([0.1, 0.2, 0.3])) == 0.25
    assert statistics.sign_flip_p(np.zeros(4)) == 1
    assert np.isnan(statistics.sign_flip_p(np.zeros(0)))
    assert np.isnan(statistics.sign_flip_p(np.array([1.0, np.nan])))
    assert np.isnan(statistics.sign_flip_p(np.full(statistics.EXACT + 1, np.nan)))


def test_many_sign_flips_are_drawn_with_a_fixed_key(monkeypatch):
    differences = np.random.default_rng(0).normal(0.4, 1, 18)
    exact = statistics.sign_flip_p(differences)
    monkeypatch.setattr(statistics, "EXACT", 17)
    drawn = statistics.sign_flip_p(differences)
    assert drawn == statistics.sign_flip_p(differences) != exact
    # Four deviations of the share of the drawn ones.
    assert abs(drawn - exact) < 4 * np.sqrt(exact / statistics.DRAWN)


def test_the_bootstrap_is_scipys_and_the_same_each_time():
    values = np.random.default_rng(0).exponential(1, 12)
    low, high = statistics.bootstrap_interval(values)
    assert (low, high) == statistics.bootstrap_interval(values)
    other = scipy.stats.bootstrap((values,), np.mean, rng=np.random.default_rng(5))
    ends = other.confidence_interval
    assert (low, high) == pytest.approx((ends.low, ends.high), abs=0.04)
    # The long tail is at the top.
    assert high - values.mean() > values.mean() - low
    assert np.isnan(statistics.bootstrap_interval(values[:4])).all()
    assert np.isnan(statistics.bootstrap_interval(np.ones(9))).all()


def test_seeds_that_an_interval_needs_by_hand():
    """For a deviation of 1 and +- .5: 2.1098 / sqrt(18) = .497, and 2.1199 / sqrt(17) = .514."""
    assert statistics.seeds_needed(1.0, 0.5) == 18
    assert statistics.seeds_needed(2.0, 1.0) == 18
    # With two seeds, 12.706 / sqrt(2) = 8.98.
    assert statistics.seeds_needed(1.0, 8.99) == 2
    assert statistics.seeds_needed(1.0, 8.98) == 3
    assert statistics.seeds_needed(0.0, 0.25) == 2
    # (1.96 x 1 / .25)^2 = 61.5, and a few more for Student's quantile: t_{63} = 1.9983.
    assert statistics.seeds_needed(1.0, 0.25) == 64


@pytest.mark.parametrize(
    ("deviation", "half"),
    [(np.nan, 0.25), (np.inf, 0.25), (1.0, 1e-200), (1e300, 1e-300), (1e-3, 1e-12)],
)
def test_there_is_no_number_of_seeds_that_is_not_finite(deviation, half):
    assert statistics.seeds_needed(deviation, half) is None
    assert statistics.seeds_needed(np.float64(deviation), half) is None
    assert statistics.seeds_text(deviation, half) == "n/a"
    assert statistics.seeds_text(1.0, 0.5) == "18"


@pytest.mark.parametrize(
    ("mean", "adjusted", "word"),
    [
        (1.0, 0.05, "better"),
        (-1.0, 0.01, "worse"),
        (1.0, 0.051, "not told apart"),
        (1.0, float("nan"), "not told apart"),
        (0.0, 0.0, "not told apart"),
    ],
)
def test_verdicts(mean, adjusted, word):
    assert statistics.verdict(mean, adjusted) == word


def test_intervals_cover_the_truth():
    """2,000 samples of 10 normal values: 95 % within four deviations of the share (2 %)."""
    samples = np.random.default_rng(1).normal(0.3, 1, (2000, 10))
    covered = [abs(own.mean() - 0.3) <= statistics.interval(own) for own in samples]
    assert np.mean(covered) == pytest.approx(0.95, abs=0.02)


def test_no_family_of_true_hypotheses_is_often_refused():
    """Of 1,000 tables of three arms that do not differ, 5 % may have a verdict, within 2.8 %."""
    samples = np.random.default_rng(2).normal(0, 1, (1000, 3, 10))
    t_tests = scipy.stats.ttest_1samp(samples, 0, axis=-1).pvalue
    wrong = [min(statistics.holm(ps)) <= statistics.ALPHA for ps in t_tests.tolist()]
    assert 0.02 < np.mean(wrong) < 0.078


def test_how_far_a_number_of_seeds_may_be_off():
    """The quantiles of chi-square with two degrees of freedom are -2 ln of the upper shares."""
    low, high = statistics.deviation_interval(0.35, 3)
    assert low == pytest.approx(0.35 * np.sqrt(-1 / np.log(0.025)))
    assert high == pytest.approx(0.35 * np.sqrt(-1 / np.log(0.975)))
    gains = {"a": np.array([0.0, 0.35, 0.7]), "b": np.array([1.0, 1.0]), "c": np.arange(3) / 100}
    assert verdicts.seeds_for(gains["a"], 0.25) == "11"
    assert verdicts.seeds_note(gains, 0.25) == (
        "Seeds for ± 0.25 come from the spread over a few seeds: with 3, the number of a may be "
        "from 5 to 300 (95 % interval of the deviation)."
    )
    assert verdicts.seeds_note({"b": gains["b"]}, 0.25) == ""
