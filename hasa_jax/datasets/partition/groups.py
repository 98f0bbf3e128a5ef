"""Clients from the groups of the data: writers, sources, domains."""

from __future__ import annotations

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.partition.labels import Labels, check_counts


def natural(
    labels: Labels, num_clients: int, generator: np.random.Generator, *, min_examples: int = 10
) -> list[np.ndarray]:
    """Makes one client of each group.

    Args:
      labels: labels of all examples `[n]`.
      num_clients: not used; there are as many clients as groups.
      generator: not consumed; nothing is random.
      min_examples: fewest examples of a client.

    Returns:
      Sorted indices of each client, in the order of the groups.

    Raises:
      UserError: if there is only one group, or if a group has too few examples.
    """
    del num_clients, generator
    count = len(labels.group_names)
    if count < 2:
        raise UserError("the data name no clients: set `partition` to another one than natural")
    ends = np.cumsum(np.bincount(labels.groups, minlength=count))
    parts = np.split(np.argsort(labels.groups, kind="stable"), ends[:-1])
    _check_groups(labels, [len(part) for part in parts], min_examples)
    check_counts(len(labels.groups), count, min_examples)
    return parts


def domain(
    labels: Labels, num_clients: int, generator: np.random.Generator, *, min_examples: int = 10
) -> list[np.ndarray]:
    """Gives every group the same number of clients; each gets examples of its group at random.

    Args:
      labels: labels of all examples `[n]`.
      num_clients: a multiple of the number of groups.
      generator: consumed.
      min_examples: fewest examples of a client.

    Returns:
      Sorted indices of each client; clients of one group follow each other.

    Raises:
      UserError: if `num_clients` is no such multiple, or if a group has too few examples.
    """
    count = len(labels.group_names)
    each, rest = divmod(num_clients, count)
    if rest or not each:
        raise UserError(
            f"`num_clients` is {num_clients}: it must be a multiple of the {count} groups"
        )
    parts = [generator.permutation(np.flatnonzero(labels.groups == g)) for g in range(count)]
    _check_groups(labels, [len(part) for part in parts], each * min_examples)
    check_counts(len(labels.groups), num_clients, min_examples)
    return [np.sort(share) for part in parts for share in np.array_split(part, each)]


def _check_groups(labels: Labels, sizes: list[int], least: int) -> None:
    """Checks that every group has at least `least` examples."""
    small = [pair for pair in zip(labels.group_names, sizes, strict=True) if pair[1] < least]
    if len(small) == 1:
        raise UserError(
            f"group {small[0][0]!r} has {small[0][1]} examples, but needs {least}: leave it out, "
            "or lower `min_examples`"
        )
    if small:
        first = ", ".join(f"{name!r} ({size})" for name, size in small[:3])
        more = f" and {len(small) - 3} more" if len(small) > 3 else ""
        raise UserError(
            f"{len(small)} of {len(sizes)} groups have fewer than {least} examples: {first}{more}; "
            "leave them out, or lower `min_examples`"
        )
