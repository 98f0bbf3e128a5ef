"""Test examples for clients whose training examples are dealt out already."""

from __future__ import annotations

import numpy as np

from hasa_jax.datasets.partition.rows import whole_numbers, with_minimum


def matched(
    targets: np.ndarray, counts: np.ndarray, generator: np.random.Generator
) -> list[np.ndarray]:
    """Deals every class out in the proportions in which clients have it.

    Args:
      targets: class of each row `[n]`.
      counts: how often each client has each class `[N, K]`.
      generator: consumed.

    Returns:
      Sorted rows of each client; everyone has at least one. A class that nobody has is shared
      out evenly.
    """
    parts: list[list[np.ndarray]] = [[] for _ in counts]
    for label in np.unique(targets):
        rows = generator.permutation(np.flatnonzero(targets == label))
        wanted = counts[:, label].astype(np.float64)
        shares = wanted if wanted.any() else np.ones(len(counts))
        ends = np.cumsum(whole_numbers(shares, len(rows)))[:-1]
        for own, part in zip(parts, np.split(rows, ends), strict=True):
            own.append(part)
    return with_minimum([np.concatenate(own) for own in parts], 1, generator)
