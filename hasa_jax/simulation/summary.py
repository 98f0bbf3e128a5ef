"""What a set of per-client accuracies comes to: the mean, the worst and the tail."""

from __future__ import annotations

import dataclasses
import math

import numpy as np


@dataclasses.dataclass(frozen=True)
class Summary:
    """What a set of per-client accuracies comes to.

    Attributes:
      mean: unweighted mean over clients.
      weighted: mean weighted by examples.
      worst: the worst client.
      tail: mean of the worst clients.
      std: standard deviation over clients (of the population of clients, `ddof = 0`).
    """

    mean: float
    weighted: float
    worst: float
    tail: float
    std: float


def summarize(
    accuracy: np.ndarray, num_examples: np.ndarray, tail_fraction: float = 0.25
) -> Summary:
    """Summarizes per-client accuracies; clients without examples are left out.

    Args:
      accuracy: `[N]`, NaN for clients without examples.
      num_examples: examples that each accuracy was measured on `[N]`.
      tail_fraction: share of clients in the tail; `ceil(fraction * N)` clients, so .25 of
        seven is the worst two.

    Returns:
      The summary.
    """
    known = np.isfinite(accuracy)
    accuracy, num_examples = accuracy[known], num_examples[known]
    if not accuracy.size:
        return Summary(*[math.nan] * 5)
    tail_size = max(1, math.ceil(tail_fraction * len(accuracy) - 1e-9))
    return Summary(
        mean=float(accuracy.mean()),
        weighted=float(np.average(accuracy, weights=num_examples)),
        worst=float(accuracy.min()),
        tail=float(np.sort(accuracy)[:tail_size].mean()),
        std=float(accuracy.std()),
    )
