"""Assignment of the examples of a pool to clients and to their three splits."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import UserError
from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.datasets.partition.labels import Labels
from hasa_jax.datasets.partition.matched import matched
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.splits import Split, generators_of_clients, split_by

_MATCHED, _SHARES = 10**6, 10**6 + 1  # Client numbers in the key addresses that clients share.


def assign(
    pool: Pool, key: jax.Array, partition: str, num_clients: int, options: Mapping[str, Any]
) -> list[Split]:
    """Assigns every example of a pool to one split of one client.

    The partition assigns the training examples. A tenth of a client's training examples becomes
    its validation split. If the authors of the data set a test set apart, its examples go to
    clients in the proportions of their training labels. If not, each client's examples are split
    80/10/10.

    Args:
      pool: the examples.
      key: root key of the run; it is not consumed.
      partition: name of one of `PARTITIONS`.
      num_clients: number of clients.
      options: arguments of any partition by name; this partition gets those that it has.

    Returns:
      Sorted indices of training, validation and test of each client.

    Raises:
      UserError: if there is no such partition, or if there are too few examples.
    """
    if partition not in PARTITIONS:
        raise UserError(f"unknown `partition` {partition!r}: use one of {', '.join(PARTITIONS)}")
    function = PARTITIONS[partition]
    known = {n: v for n, v in options.items() if n in inspect.signature(function).parameters}
    generator = keys.generator(keys.address(key, keys.Stream.SPLIT, client=_SHARES))
    test = np.flatnonzero(pool.is_test)
    train = np.flatnonzero(~pool.is_test)
    parts = function(_labels(pool, train), num_clients, generator, **known)
    own = [train[part] for part in parts]
    fewest = min(map(len, own))
    if fewest < 3:
        raise UserError(
            f"a client has {fewest} examples, but its splits need 3: raise `min_examples`"
        )
    if not test.size:
        generators = generators_of_clients(key, len(own))
        splits = [split_by(len(p), each) for p, each in zip(own, generators, strict=True)]
        return [(part[a], part[b], part[c]) for part, (a, b, c) in zip(own, splits, strict=True)]
    if test.size < len(own):
        raise UserError(
            f"{test.size} examples for testing are too few for {len(own)} clients: lower "
            "`num_clients`, or raise `max_examples`"
        )
    tests = matched(
        _labels(pool, np.concatenate(own)),
        np.repeat(np.arange(len(own)), [len(part) for part in own]),
        _labels(pool, test),
        len(own),
        keys.generator(keys.address(key, keys.Stream.SPLIT, client=_MATCHED)),
    )
    each = zip(own, tests, generators_of_clients(key, len(own)), strict=True)
    return [
        (*_train_and_validation(part, generator), test[positions])
        for part, positions, generator in each
    ]


def _labels(pool: Pool, indices: np.ndarray) -> Labels:
    """Returns the labels of some examples of a pool."""
    return Labels(pool.targets[indices], pool.groups[indices], pool.group_names)


def _train_and_validation(
    indices: np.ndarray, generator: np.random.Generator
) -> tuple[np.ndarray, np.ndarray]:
    """Divides indices at random into training and validation; validation is a tenth of them."""
    order = generator.permutation(len(indices))
    count = max(1, round(0.1 * len(indices)))
    return np.sort(indices[order[count:]]), np.sort(indices[order[:count]])
