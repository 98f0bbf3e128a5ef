"""Shares of the clients: random shares, counts from shares, and a minimum for each client."""

from __future__ import annotations

import heapq

import numpy as np

from hasa_jax.base import UserError

_LARGEST_ALPHA = 1e6
"""From this value on, shares differ by less than a thousandth. Far larger values overflow."""


def check_alpha(alpha: float) -> None:
    """Checks the concentration of a symmetric Dirichlet distribution.

    Args:
      alpha: the concentration.

    Raises:
      UserError: if it is not above 0, or so large that all shares are equal.
    """
    if not 0 < alpha <= _LARGEST_ALPHA:
        raise UserError(
            f"`alpha` is {alpha:g}: it must be above 0 and at most {_LARGEST_ALPHA:g} (for equal "
            "shares set `partition` to iid)"
        )


def draw_shares(generator: np.random.Generator, count: int, alpha: float) -> np.ndarray:
    """Draws shares from a symmetric Dirichlet distribution.

    Args:
      generator: consumed.
      count: number of shares.
      alpha: concentration, as `check_alpha` allows it.

    Returns:
      Shares `[count]` that add up to 1. If `alpha` is so low that all shares underflow, a random
      one is 1.
    """
    shares = generator.dirichlet(np.full(count, alpha))
    if np.isfinite(shares).all() and shares.sum() > 0:
        return shares
    return np.eye(count)[generator.integers(count)]


def counts_of_shares(shares: np.ndarray, total: int) -> np.ndarray:
    """Turns shares into integers that add up to a total, by the largest remainder.

    Args:
      shares: shares `[n]`, not negative, with a sum above 0.
      total: sum of the integers.

    Returns:
      The integers `[n]`, int64.
    """
    exact = shares / shares.sum() * total
    counts = np.floor(exact).astype(np.int64)
    order = np.argsort(counts - exact, kind="stable")
    counts[order[: total - counts.sum()]] += 1
    return counts


def with_minimum(
    parts: list[np.ndarray], min_examples: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Moves examples from the largest clients to clients that have too few.

    Args:
      parts: indices of each client; their number is enough for all clients.
      min_examples: fewest examples of a client.
      generator: consumed.

    Returns:
      Sorted indices of each client.
    """
    parts = [generator.permutation(part) for part in parts]
    sizes = [len(part) for part in parts]
    small = [(size, client) for client, size in enumerate(sizes) if size < min_examples]
    large = [(-size, client) for client, size in enumerate(sizes)] if small else []
    heapq.heapify(small)
    heapq.heapify(large)
    while small:
        size, smallest = heapq.heappop(small)
        if size != sizes[smallest]:
            continue  # It has changed since.
        while -large[0][0] != sizes[large[0][1]]:
            heapq.heappop(large)
        largest = large[0][1]
        moved = min(min_examples - size, max(1, (sizes[largest] - min_examples) // 2))
        parts[smallest] = np.concatenate([parts[smallest], parts[largest][:moved]])
        parts[largest] = parts[largest][moved:]
        for client in (smallest, largest):
            sizes[client] = len(parts[client])
            heapq.heappush(large, (-sizes[client], client))
            if sizes[client] < min_examples:
                heapq.heappush(small, (sizes[client], client))
    return [np.sort(part) for part in parts]
