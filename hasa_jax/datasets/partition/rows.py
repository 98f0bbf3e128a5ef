"""What all partitions look at, and what they share."""

from __future__ import annotations

import dataclasses

import numpy as np

from hasa_jax.base import UserError


@dataclasses.dataclass(frozen=True)
class Labels:
    """What a partition may look at.

    Attributes:
      targets: class of each row `[n]`.
      groups: group of each row `[n]`, such as a writer or a domain.
      group_names: names of the groups.
    """

    targets: np.ndarray
    groups: np.ndarray
    group_names: tuple[str, ...]


def check_room(num_rows: int, num_clients: int, min_examples: int) -> None:
    """Refuses numbers that do not fit together.

    Args:
      num_rows: rows to deal out.
      num_clients: clients that get them.
      min_examples: fewest rows of a client.

    Raises:
      UserError: if there are fewer than two clients, or too few rows.
    """
    if num_clients < 2:
        raise UserError(f"num_clients is {num_clients}: it must be at least 2")
    if min_examples < 1:
        raise UserError(f"min_examples is {min_examples}: it must be at least 1")
    if num_rows < num_clients * min_examples:
        raise UserError(
            f"{num_rows} examples are too few for {num_clients} clients of at least "
            f"{min_examples}: take fewer clients, or a lower --min_examples"
        )


_MOST_ALPHA = 1e6
"""From there on shares are equal to a thousandth; far above it their sum leaves all numbers."""


def check_alpha(alpha: float) -> None:
    """Refuses a concentration that is out of range.

    Args:
      alpha: of a symmetric Dirichlet distribution.

    Raises:
      UserError: if it is not above 0, or so high that nothing would be left to chance.
    """
    if not 0 < alpha <= _MOST_ALPHA:
        raise UserError(
            f"alpha is {alpha:g}: it must be above 0, and {_MOST_ALPHA:g} at most (for equal "
            "shares take --partition=iid)"
        )


def drawn_shares(generator: np.random.Generator, count: int, alpha: float) -> np.ndarray:
    """Draws shares from a symmetric Dirichlet distribution.

    Args:
      generator: consumed.
      count: number of shares.
      alpha: concentration, as `check_alpha` allows.

    Returns:
      Shares that add up to 1 `[count]`; with so low an alpha that all of them underflow, one of
      them is everything.
    """
    shares = generator.dirichlet(np.full(count, alpha))
    if np.isfinite(shares).all() and shares.sum() > 0:
        return shares
    return np.eye(count)[generator.integers(count)]


def whole_numbers(parts: np.ndarray, total: int) -> np.ndarray:
    """Rounds shares to whole numbers that add up, by largest remainder.

    Args:
      parts: shares, not negative, of any sum above 0.
      total: what the numbers shall add up to.

    Returns:
      The numbers, int64.
    """
    exact = parts / parts.sum() * total
    numbers = np.floor(exact).astype(np.int64)
    order = np.argsort(numbers - exact, kind="stable")
    numbers[order[: total - numbers.sum()]] += 1
    return numbers


def with_minimum(
    parts: list[np.ndarray], min_examples: int, generator: np.random.Generator
) -> list[np.ndarray]:
    """Moves rows from the largest clients to those that have too few.

    Args:
      parts: rows of each client; together there are enough.
      min_examples: fewest rows of a client.
      generator: consumed.

    Returns:
      Sorted rows of each client.
    """
    parts = [generator.permutation(part) for part in parts]
    sizes = np.array([len(part) for part in parts])
    while sizes.min() < min_examples:
        poor, rich = int(sizes.argmin()), int(sizes.argmax())
        moved = min(min_examples - sizes[poor], max(1, (sizes[rich] - min_examples) // 2))
        parts[poor] = np.concatenate([parts[poor], parts[rich][:moved]])
        parts[rich] = parts[rich][moved:]
        sizes[poor], sizes[rich] = len(parts[poor]), len(parts[rich])
    return [np.sort(part) for part in parts]
