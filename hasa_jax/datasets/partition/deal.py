"""Dealing the rows of a pool out to clients, and each client's rows to its three splits."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import UserError
from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.datasets.partition.matched import matched
from hasa_jax.datasets.partition.rows import Labels
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.splits import Split, split

_MATCHED, _SHARES = 10**6, 10**6 + 1  # Client addresses of what all clients share.


def deal(
    pool: Pool, key: jax.Array, partition: str, num_clients: int, options: Mapping[str, Any]
) -> list[Split]:
    """Deals the rows of a pool out.

    Training rows are dealt out by the partition, and a tenth of a client's is set apart for
    validation. Test rows go to clients in the proportions of their training labels; where the
    authors set none apart, a client's rows are split 80/10/10.

    Args:
      pool: the examples.
      key: root key of the run; it is not consumed.
      partition: one of `PARTITIONS`.
      num_clients: number of clients.
      options: of any partition; those that this one does not know are left out.

    Returns:
      Rows of training, validation and testing of each client, sorted.

    Raises:
      UserError: if there is no such partition, or if numbers do not fit together.
    """
    if partition not in PARTITIONS:
        raise UserError(f"unknown partition {partition!r}: use one of {', '.join(PARTITIONS)}")
    function = PARTITIONS[partition]
    known = {n: v for n, v in options.items() if n in inspect.signature(function).parameters}
    generator = keys.generator(keys.address(key, keys.Stream.SPLIT, client=_SHARES))
    test = np.flatnonzero(pool.is_test)
    dealt = np.flatnonzero(~pool.is_test)
    labels = Labels(pool.targets[dealt], pool.groups[dealt], pool.group_names)
    own = [dealt[part] for part in function(labels, num_clients, generator, **known)]
    fewest = min(map(len, own))
    if fewest < 3:
        raise UserError(
            f"a client has {fewest} examples, but its splits need 3: raise --min_examples"
        )
    if not test.size:
        splits = [split(len(part), _key_of(key, client)) for client, part in enumerate(own)]
        return [(part[a], part[b], part[c]) for part, (a, b, c) in zip(own, splits, strict=True)]
    if test.size < len(own):
        raise UserError(
            f"{test.size} examples for testing are too few for {len(own)} clients: take fewer "
            "clients, or a higher --max_examples"
        )
    trained = np.concatenate(own)
    tests = matched(
        Labels(pool.targets[trained], pool.groups[trained], pool.group_names),
        np.repeat(np.arange(len(own)), [len(part) for part in own]),
        Labels(pool.targets[test], pool.groups[test], pool.group_names),
        len(own),
        keys.generator(keys.address(key, keys.Stream.SPLIT, client=_MATCHED)),
    )
    rows = []
    for client, (part, tested) in enumerate(zip(own, tests, strict=True)):
        order = keys.generator(_key_of(key, client)).permutation(len(part))
        held = max(1, round(0.1 * len(part)))
        rows.append((np.sort(part[order[held:]]), np.sort(part[order[:held]]), test[tested]))
    return rows


def _key_of(key: jax.Array, client: int) -> jax.Array:
    """Returns the key that splits a client's rows."""
    return keys.address(key, keys.Stream.SPLIT, client=client)
