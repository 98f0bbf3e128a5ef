"""The labels that a partition sees of each example, and the checks that all partitions share."""

from __future__ import annotations

import dataclasses

import numpy as np

from hasa_jax.base import UserError


@dataclasses.dataclass(frozen=True)
class Labels:
    """What a partition sees of the examples.

    Attributes:
      targets: class of each example `[n]`.
      groups: group of each example `[n]`, such as a writer or a domain.
      group_names: names of the groups.
    """

    targets: np.ndarray
    groups: np.ndarray
    group_names: tuple[str, ...]


def check_counts(num_examples: int, num_clients: int, min_examples: int) -> None:
    """Checks that there are enough examples for all clients.

    Args:
      num_examples: examples to assign.
      num_clients: clients that get them.
      min_examples: fewest examples of a client.

    Raises:
      UserError: if there are fewer than two clients, or too few examples.
    """
    if num_clients < 2:
        raise UserError(f"`num_clients` is {num_clients}: it must be at least 2")
    if min_examples < 1:
        raise UserError(f"`min_examples` is {min_examples}: it must be at least 1")
    if num_examples < num_clients * min_examples:
        raise UserError(
            f"{num_examples} examples are too few for {num_clients} clients of at least "
            f"{min_examples}: lower `num_clients` or `min_examples`"
        )
