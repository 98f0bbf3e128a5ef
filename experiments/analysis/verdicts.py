"""What the mean accuracies of all arms say at once: a family of tests, and how many seeds it needs.

The block for inference is the seed. Folds of a seed share data, so they are dependent, and their
mean is one value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from experiments.analysis.statistics import (
    ALPHA,
    DRAWN,
    EXACT,
    deviation_interval,
    holm,
    least_p,
    no_variation,
    p_text,
    seeds_text,
    sign_flip_p,
    t_p,
    verdict,
)

RESOLVED = 0.25
"""Half the width, in points, of the interval whose number of seeds is shown."""

UNDECIDED = "not told apart"
"""The verdict of a test that finds nothing."""

NON_FINITE = "non-finite"
"""What is said instead of a verdict where a difference is NaN."""


class Verdict(NamedTuple):
    """What the tests say of one arm.

    Attributes:
      word: `better`, `worse`, `UNDECIDED` or `NON_FINITE`.
      seeds: how many it rests on.
      p: of the paired t test.
      adjusted: the same by Holm over the family.
    """

    word: str
    seeds: int
    p: float
    adjusted: float

    @property
    def text(self) -> str:
        """The word, and what it rests on."""
        return f"{self.word} at {self.seeds} seed{'s' * (self.seeds != 1)}"


def of(gains: Mapping[str, np.ndarray]) -> dict[str, Verdict]:
    """Tests all differences of a family.

    Args:
      gains: differences of mean accuracy to the reference in points, one for each common seed, by
        what the arm is called.

    Returns:
      By what the arm is called.
    """
    ps = [t_p(own) for own in gains.values()]
    return {
        name: Verdict(
            NON_FINITE if np.isnan(own).any() else verdict(float(own.mean()), adjusted),
            *(len(own), p, adjusted),
        )
        for (name, own), p, adjusted in zip(gains.items(), ps, holm(ps), strict=True)
    }


def non_finite_at(seeds: Sequence[int]) -> str:
    """Says at which seeds a difference is NaN."""
    return f"{NON_FINITE} at seed{'s' * (len(seeds) > 1)} {', '.join(map(str, seeds))}"


def caption(gains: Mapping[str, np.ndarray]) -> str:
    """Says what the tests are of.

    Args:
      gains: as for `of`.

    Returns:
      A line.
    """
    most = max(map(len, gains.values()))
    flips = f"the exact sign-flip test by all 2^n flips of signs of n seeds ({2**most:,})"
    if most > EXACT:
        flips = f"the sign-flip test by {DRAWN:,} drawn flips of signs, as seeds are over {EXACT}"
    over = f"{own} of this table" if (own := family(gains)) else ""
    return (
        f"p Holm is p t adjusted{over}, p W is of Wilcoxon's test, "
        f"and p flip of {flips}; these two are not adjusted. Bootstrap: BCa over seeds."
    )


def family(gains: Mapping[str, np.ndarray]) -> str:
    """Returns what Holm's correction is over: the differences that have a p; empty without any."""
    count = sum(not math.isnan(t_p(own)) for own in gains.values())
    if not count:
        return ""
    return f" over the {count} differences" if count > 1 else " over the only difference"


def remarks(gains: Mapping[str, np.ndarray]) -> list[str]:
    """Returns where the exact test does not bear a verdict out, one line each.

    Args:
      gains: as for `of`.

    Returns:
      Lines on arms with a verdict whose sign-flip p is above the level, though their seeds are
      enough for a smaller one.
    """
    lines = []
    for name, found in of(gains).items():
        own = gains[name]
        decided = found.word not in (UNDECIDED, NON_FINITE)
        if decided and (flip := sign_flip_p(own)) > ALPHA >= least_p(len(own)):
            lines.append(
                f"{name}: {found.word} by the t test, but p of the sign-flip test is "
                f"{p_text(flip)}; a few seeds decide it."
            )
    return lines


def seeds_for(values: np.ndarray, half: float) -> str:
    """Writes how many seeds an interval needs, by the deviation of those that there are.

    Args:
      values: differences in points, one for each seed.
      half: half the width of the interval, in points.

    Returns:
      The number; `n/a` where there is none.
    """
    if len(values) < 2 or no_variation(values):
        return "n/a"
    return seeds_text(float(values.std(ddof=1)), half)


def seeds_note(gains: Mapping[str, np.ndarray], half: float) -> str:
    """Says how far the largest number of seeds that an interval needs may be off.

    Args:
      gains: as for `of`.
      half: as for `seeds_for`.

    Returns:
      A sentence; empty where there is no number.
    """
    numbers = {name: seeds_for(own, half) for name, own in gains.items()}
    known = {name: int(text) for name, text in numbers.items() if text.isdigit()}
    if not known:
        return ""
    name = max(known, key=lambda own: known[own])
    ends = deviation_interval(float(gains[name].std(ddof=1)), len(gains[name]))
    low, high = (seeds_text(end, half) for end in ends)
    return (
        f"Seeds for ± {half:g} come from the spread over a few seeds: with {len(gains[name])}, the "
        f"number of {name} may be from {low} to {high} (95 % interval of the deviation)."
    )


def ends_text(ends: tuple[float, float]) -> str:
    """Writes an interval of differences; `n/a` where there is none."""
    low, high = ends
    return "n/a" if math.isnan(low) else f"[{low:+.2f}, {high:+.2f}]"
