"""How often intervals cover the truth if seeds are added until they are narrow enough.

`python -m experiments.analysis.coverage` simulates it for paired differences of normal seeds, and
prints CSV. Its lines are in experiments/results/stopping_rule/coverage.csv.
"""

from __future__ import annotations

import csv
import sys
from typing import NamedTuple

import numpy as np

RUNS = 20_000
"""Comparisons that are simulated for each rule."""

CASES = (
    (3, 1, 1.0),
    (3, 1, 0.5),
    (5, 1, 0.5),
    (5, 7, 0.5),
    (10, 1, 1.0),
    (10, 1, 0.5),
    (10, 1, 0.25),
    (10, 7, 0.5),
)
"""First seeds, comparisons and half-widths in deviations of a difference."""

_KEY = 29
_MOST = 200


class Found(NamedTuple):
    """What many simulated comparisons reach.

    Attributes:
      coverage: share of the 95 % intervals that have the true difference.
      bias: mean of the differences that were found, less the true one, in deviations.
      error: standard error of the bias.
      seeds: mean number of seeds.
    """

    coverage: float
    bias: float
    error: float
    seeds: float


def simulated(
    first: int, comparisons: int, half: float, *, runs: int, most: int = _MOST, key: int = _KEY
) -> Found:
    """Simulates comparisons whose number of seeds the rule decides.

    Differences to one reference, of normal deviation 1, have correlation .5, as those of equally
    noisy arms have. The rule looks at every number of seeds from `first` on.

    Args:
      first: seeds at the start, two or more.
      comparisons: differences whose intervals must all be narrow enough.
      half: half the width at most, in deviations of a difference.
      runs: simulated studies.
      most: most seeds.
      key: seed of the simulation.

    Returns:
      Coverage, bias and seeds over all runs and comparisons.
    """
    import scipy.stats

    generator = np.random.default_rng(key)
    arms = generator.standard_normal((comparisons + 1, runs, most)) / np.sqrt(2)
    gains = arms[1:] - arms[0] if comparisons > 1 else np.sqrt(2) * arms[1:]
    counts = np.arange(1, most + 1)
    means = np.cumsum(gains, -1) / counts
    squares = np.cumsum(gains**2, -1) - counts * means**2
    halves = np.full(gains.shape, np.inf)
    quantiles = scipy.stats.t.ppf(0.975, counts[1:] - 1)
    deviations = np.sqrt(np.maximum(squares[..., 1:], 0) / (counts[1:] - 1))
    halves[..., 1:] = quantiles * deviations / np.sqrt(counts[1:])
    met = (halves.max(0) <= half) & (counts >= first)
    met[:, -1] = True
    stops = met.argmax(-1)
    at = np.broadcast_to(stops, (comparisons, runs))[..., None]
    mean = np.take_along_axis(means, at, -1)
    width = np.take_along_axis(halves, at, -1)
    return Found(
        coverage=float(np.mean(np.abs(mean) <= width)),
        bias=float(mean.mean()),
        # Comparisons of a run are dependent.
        error=float(mean.mean(0).std(ddof=1) / np.sqrt(runs)),
        seeds=float(counts[stops].mean()),
    )


def main() -> None:
    """Prints a line of CSV for each rule."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["first_seeds", "comparisons", "half_width", *Found._fields])
    for first, comparisons, half in CASES:
        found = simulated(first, comparisons, half, runs=RUNS // comparisons)
        writer.writerow([first, comparisons, half, *found])


if __name__ == "__main__":
    main()
