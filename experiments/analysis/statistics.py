"""Means, intervals and p values over seeds, and how tables write them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

ALPHA = 0.05
"""Level of verdicts, over all comparisons of a family."""

EXACT = 20
"""Most differences whose flips of signs are all looked at; of more, some are drawn."""

DRAWN = 99_999
"""Flips of signs, and resamples of the bootstrap, that are drawn with a fixed key."""

_KEY = 17
_BLOCK = 10_000
_MOST_ROOT = 1e6
"""Root of the largest number of seeds that is given; Student's quantile is the normal one there."""

_LEAST_RESAMPLED = 5
"""Fewer values have too few different resamples for an interval."""

_ALIKE = 1e-9
"""Values or sums of flipped differences closer than this share of the largest are equal."""


def no_variation(values: np.ndarray) -> bool:
    """Returns whether values differ by no more than rounding does, so that no test is of them.

    Args:
      values: in points or percents `[n]`.

    Returns:
      True if the largest less the smallest is at most 1e-9 of the largest magnitude, or 1e-9
      points; False for NaN.
    """
    return bool(np.ptp(values) <= _ALIKE * max(1.0, float(np.abs(values).max())))


def interval(values: np.ndarray) -> float:
    """Returns half the 95 % Student interval of a mean; NaN for one value, 0 for equal ones."""
    if len(values) < 2:
        return float("nan")
    if no_variation(values):
        return 0.0
    import scipy.stats  # Takes half a second, which a run need not wait for at its start.

    quantile = scipy.stats.t.ppf(0.975, len(values) - 1)
    return float(quantile * values.std(ddof=1) / np.sqrt(len(values)))


def t_p(differences: np.ndarray) -> float:
    """Returns the p of the paired t test; NaN for equal differences, a single one, or NaN."""
    if len(differences) < 2 or np.isnan(differences).any() or no_variation(differences):
        return float("nan")
    import scipy.stats

    found: Any = scipy.stats.ttest_1samp(differences, 0.0)
    return float(found.pvalue)


def wilcoxon_p(differences: np.ndarray) -> float:
    """Returns the p of Wilcoxon's test; NaN for equal differences, a single one, or NaN."""
    if len(differences) < 2 or np.isnan(differences).any() or no_variation(differences):
        return float("nan")
    import scipy.stats

    found: Any = scipy.stats.wilcoxon(differences)
    return float(found.pvalue)


def bootstrap_interval(values: np.ndarray) -> tuple[float, float]:
    """Returns the 95 % bootstrap interval of a mean, bias-corrected and accelerated.

    Args:
      values: one for each seed `[n]`.

    Returns:
      Its ends by `DRAWN` resamples with a fixed key, so that a table is the same each time; NaN for
      fewer than five values, equal ones, or NaN among them.

    References:
      Efron, JASA 1987 (BCa).
    """
    if len(values) < _LEAST_RESAMPLED or np.isnan(values).any() or no_variation(values):
        return float("nan"), float("nan")
    import scipy.stats

    found: Any = scipy.stats.bootstrap(
        (values,),
        np.mean,
        n_resamples=DRAWN,
        batch=_BLOCK,
        vectorized=True,
        method="BCa",
        rng=np.random.default_rng(_KEY),
    )
    return float(found.confidence_interval.low), float(found.confidence_interval.high)


def sign_flip_p(differences: np.ndarray) -> float:
    """Returns the two-sided p of the paired sign-flip test of a mean difference of 0.

    If the arms do not differ, each difference is as likely to have the other sign. The p is the
    share of all `2^n` choices of signs whose mean is as far from 0 as the one that was found.

    Args:
      differences: points, one for each seed `[n]`.

    Returns:
      The exact p for `n` up to `EXACT`; of more, `(1 + k) / (1 + DRAWN)`, where `k` of `DRAWN`
      choices, drawn with a fixed key, are as far; NaN if there is no difference, or one is NaN.

    References:
      Fisher, The Design of Experiments, 1935, section 21.
    """
    if not len(differences) or np.isnan(differences).any():
        return float("nan")
    size = np.abs(differences)
    limit = abs(float(differences.sum())) - _ALIKE * float(size.sum())
    if len(differences) <= EXACT:
        # The opposite of every choice is as far, so the first sign may stay as it is.
        sums = size[:1]
        for value in size[1:]:
            sums = np.concatenate([sums + value, sums - value])
        return float(np.mean(np.abs(sums) >= limit))
    generator, far = np.random.default_rng(_KEY), 0
    for start in range(0, DRAWN, _BLOCK):
        count = min(_BLOCK, DRAWN - start)
        signs = 2.0 * generator.integers(0, 2, (count, len(size))) - 1
        far += int(np.sum(np.abs(signs @ size) >= limit))
    return (1 + far) / (1 + DRAWN)


def holm(ps: Sequence[float]) -> list[float]:
    """Adjusts the p values of a family of tests, so that any false finding has their level.

    The `j`-th smallest of `m` is multiplied by `m - j + 1`, and is no less than those before it.

    Args:
      ps: p values; NaN for a test that there is not, which does not count.

    Returns:
      The adjusted values in the same order, at most 1; NaN where there is no test.

    References:
      Holm, Scandinavian Journal of Statistics 6, 1979.
    """
    found = np.full(len(ps), np.nan)
    order = [place for place in np.argsort(ps) if not math.isnan(ps[place])]
    raised = [min(1.0, (len(order) - j) * ps[place]) for j, place in enumerate(order)]
    found[order] = list(itertools.accumulate(raised, max))
    return found.tolist()


def seeds_needed(deviation: float, half: float) -> int | None:
    """Returns how many seeds an interval of some width needs, by the deviation that was found.

    The least `n` of 2 or more with `t_{.975, n-1} s / sqrt(n) <= half`.

    Args:
      deviation: standard deviation `s` of the paired differences, in points.
      half: half the width of the 95 % Student interval, above 0, in points.

    Returns:
      The number of seeds; None if the deviation is non-finite, or the number is.
    """
    import scipy.stats

    # Python's own numbers raise or warn at an overflow, which is no more than a large number here.
    root = float(scipy.stats.norm.ppf(0.975)) * float(deviation) / float(half)
    if not math.isfinite(root) or root > _MOST_ROOT:
        return None
    # Student's quantile is above the normal one, so fewer seeds are never enough.
    count = max(2, math.ceil(root**2))
    while scipy.stats.t.ppf(0.975, count - 1) * deviation / math.sqrt(count) > half:
        count += 1
    return count


def deviation_interval(deviation: float, count: int) -> tuple[float, float]:
    """Computes the 95 % interval of a standard deviation.

    It is `s sqrt((n - 1) / chi^2_{.975, n-1})` to `s sqrt((n - 1) / chi^2_{.025, n-1})`.

    Args:
      deviation: `s` of `n` normal values.
      count: their number `n`, 2 or more.

    Returns:
      Both ends.
    """
    import scipy.stats

    low, high = (count - 1) / scipy.stats.chi2.ppf([0.975, 0.025], count - 1)
    return deviation * math.sqrt(low), deviation * math.sqrt(high)


def seeds_text(deviation: float, half: float) -> str:
    """Writes `seeds_needed`, `n/a` for None."""
    needed = seeds_needed(deviation, half)
    return "n/a" if needed is None else str(needed)


def verdict(mean: float, adjusted: float) -> str:
    """Returns what a test says of an arm: better, worse, or not told apart from the reference.

    Args:
      mean: difference to the reference.
      adjusted: p value, adjusted for its family; NaN if there is no test.
    """
    if math.isnan(adjusted) or adjusted > ALPHA or mean == 0:
        return "not told apart"
    return "better" if mean > 0 else "worse"


def least_p(num_seeds: int) -> float:
    """Returns the least p of Wilcoxon's and the sign-flip test: all differences of one sign.

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


def p_text(value: float) -> str:
    """Writes a p value to three decimals."""
    if np.isnan(value):
        return "n/a"
    return "<0.001" if value < 0.0005 else f"{value:.3f}"


def number(mean: float, half: float, *, signed: bool) -> str:
    """Writes `mean ± half`, or only the mean where there is no interval; `n/a` for NaN."""
    if np.isnan(mean):
        return "n/a"
    text = f"{mean:+.2f}" if signed else f"{mean:.2f}"
    return text if np.isnan(half) else f"{text} ± {half:.2f}"
