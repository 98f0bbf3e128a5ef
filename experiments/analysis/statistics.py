"""Means, intervals and p values over seeds, and how tables write them."""

from __future__ import annotations

from typing import Any

import numpy as np


def interval(values: np.ndarray) -> float:
    """Returns half the 95 % Student interval of a mean; NaN for a single value."""
    if len(values) < 2:
        return float("nan")
    import scipy.stats  # Takes half a second, which a run need not wait for at its start.

    quantile = scipy.stats.t.ppf(0.975, len(values) - 1)
    return float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def p_values(differences: np.ndarray) -> tuple[float, float]:
    """Returns the p of the paired t test and of Wilcoxon's; NaN where there is no variation."""
    if len(differences) < 2 or np.ptp(differences) == 0:
        return float("nan"), float("nan")
    import scipy.stats

    t_test: Any = scipy.stats.ttest_1samp(differences, 0.0)
    wilcoxon: Any = scipy.stats.wilcoxon(differences)
    return float(t_test.pvalue), float(wilcoxon.pvalue)


def least_wilcoxon(num_seeds: int) -> float:
    """Returns the least p that Wilcoxon's test has for some pairs: all differences of one sign.

    `2 / 2^n`

    Args:
      num_seeds: pairs `n`.

    Returns:
      The p.
    """
    return min(1.0, 2.0 ** (1 - num_seeds))


def band(mean: float, half: float) -> tuple[float, float]:
    """Returns the ends of an interval of percents, cut at 0 and 100.

    Args:
      mean: in percent.
      half: half the interval; NaN if there is none.

    Returns:
      The ends; the mean twice if there is no interval.
    """
    half = 0.0 if np.isnan(half) else half
    return max(0.0, mean - half), min(100.0, mean + half)


def accuracy_text(values: np.ndarray) -> str:
    """Writes a mean accuracy with its interval, which stays within 0 and 100.

    Args:
      values: percents, one for each seed.

    Returns:
      `mean ± half`; `mean [low, high]` where the interval is cut; the mean of a single value.
    """
    mean, half = float(values.mean()), interval(values)
    if np.isnan(half) or (mean - half >= 0 and mean + half <= 100):
        return number(mean, half, signed=False)
    low, high = band(mean, half)
    return f"{mean:.2f} [{low:.0f}, {high:.0f}]"


def difference_text(differences: np.ndarray) -> str:
    """Writes a mean difference with its interval and both p values.

    Args:
      differences: points, one for each seed.

    Returns:
      `+mean ± half (p of the t test, p of Wilcoxon's)`.
    """
    ps = ", ".join(map(p_text, p_values(differences)))
    return f"{number(float(differences.mean()), interval(differences), signed=True)} ({ps})"


def p_text(value: float) -> str:
    """Writes a p value to three decimals."""
    if np.isnan(value):
        return "n/a"
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def number(mean: float, half: float, *, signed: bool) -> str:
    """Writes `mean ± half`, or only the mean where there is no interval."""
    text = f"{mean:+.2f}" if signed else f"{mean:.2f}"
    return text if np.isnan(half) else f"{text} ± {half:.2f}"
