"""What the mean accuracies of all arms say at once: a family of tests, and how many seeds it needs.

The block for inference is the seed. Folds of a seed share data, so they are dependent, and their
mean is one value.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from experiments.analysis import markdown
from experiments.analysis.statistics import (
    ALPHA,
    DRAWN,
    EXACT,
    bootstrap_interval,
    holm,
    least_p,
    no_variation,
    p_text,
    p_values,
    seeds_text,
    sign_flip_p,
    verdict,
)
from hasa_jax.simulation import escapes

RESOLVED = 0.25
"""Half the width, in points, of the interval whose number of seeds is shown."""


def table(header: str, gains: Mapping[str, np.ndarray], half: float = RESOLVED) -> str:
    """Makes the table of verdicts.

    Args:
      header: of the column that names arms.
      gains: differences of mean accuracy to the reference in points, one for each common seed, by
        what the arm is called.
      half: half the width, in points, of the interval whose number of seeds is shown.

    Returns:
      A Markdown table of a line for each arm: the bootstrap interval, p of the sign-flip test, p of
      the t test by Holm over all lines, what it says, and the seeds that the interval needs.
    """
    adjusted = holm([p_values(own)[0] for own in gains.values()])
    lines = [
        [
            name,
            _ends(own),
            p_text(sign_flip_p(own)),
            p_text(p),
            verdict(float(own.mean()), p),
            _needed(own, half),
        ]
        for (name, own), p in zip(gains.items(), adjusted, strict=True)
    ]
    needs = f"seeds for ± {half:g}"
    return markdown.table([header, "bootstrap 95 %", "p flip", "p Holm", "verdict", needs], lines)


def caption(reference: str, round: int, gains: Mapping[str, np.ndarray]) -> str:
    """Says what the table of verdicts is of.

    Args:
      reference: what the arm is called that others are compared with.
      round: of the accuracies.
      gains: as for `table`.

    Returns:
      A line.
    """
    most = max(map(len, gains.values()))
    flips = f"the exact sign-flip test by all 2^n flips of signs of n seeds ({2**most:,})"
    if most > EXACT:
        flips = f"the sign-flip test by {DRAWN:,} drawn flips of signs, as seeds are over {EXACT}"
    several = len(gains) > 1
    family = f"the {len(gains)} differences" if several else "the only difference"
    return (
        f"Verdicts on Δ mean at round {round}: p Holm is p t adjusted over {family} of this table "
        f"to {escapes.markdown(reference)}, and at most {ALPHA:g} for a verdict. p flip is "
        f"{flips}; it is not adjusted. Bootstrap: BCa over seeds."
    )


def remarks(gains: Mapping[str, np.ndarray]) -> list[str]:
    """Returns where the exact test does not bear a verdict out, one line each.

    Args:
      gains: as for `table`.

    Returns:
      Lines on arms with a verdict whose sign-flip p is above the level, though their seeds are
      enough for a smaller one.
    """
    adjusted = holm([p_values(own)[0] for own in gains.values()])
    lines = []
    for (name, own), p in zip(gains.items(), adjusted, strict=True):
        word, flip = verdict(float(own.mean()), p), sign_flip_p(own)
        if word != "not told apart" and flip > ALPHA >= least_p(len(own)):
            lines.append(
                f"{escapes.markdown(name)}: {word} by the t test, but p of the sign-flip "
                f"test is {p_text(flip)}; a few seeds decide it."
            )
    return lines


def _ends(values: np.ndarray) -> str:
    """Writes the bootstrap interval."""
    low, high = bootstrap_interval(values)
    return "n/a" if math.isnan(low) else f"[{low:+.2f}, {high:+.2f}]"


def _needed(values: np.ndarray, half: float) -> str:
    """Writes how many seeds an interval needs, by the deviation of those that there are."""
    if len(values) < 2 or no_variation(values):
        return "n/a"
    return seeds_text(float(values.std(ddof=1)), half)
