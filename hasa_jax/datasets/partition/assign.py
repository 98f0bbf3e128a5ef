"""Assignment of the examples of a pool to clients and to their three splits."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import UserError
from hasa_jax.datasets.partition import PARTITIONS
from hasa_jax.datasets.partition.labels import Labels
from hasa_jax.datasets.partition.matched import matched
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.splits import SPLITS, counts_of_marks, least_examples, marks_of

_MATCHED, _SHARES = 10**6, 10**6 + 1  # Client numbers in the key addresses that clients share.


class Assigned(NamedTuple):
    """Which examples each split of each client has.

    Attributes:
      indices: examples of each of `SPLITS`, client by client, rising for each client.
      counts: how many of them each client has `[N]`.
    """

    indices: tuple[np.ndarray, ...]
    counts: tuple[np.ndarray, ...]


def assign(
    pool: Pool,
    key: jax.Array,
    partition: str,
    num_clients: int,
    options: Mapping[str, Any],
    folds: int = 0,
    fold: int = 0,
) -> Assigned:
    """Assigns every example of a pool to one split of one client.

    The partition assigns the training examples. A tenth of a client's training examples becomes
    its validation split. If the authors of the data set a test set apart, its examples go to
    clients in the proportions of their training labels. If not, each client's examples are split
    80/10/10, or by folds.

    Args:
      pool: the examples.
      key: root key of the run; it is not consumed.
      partition: name of one of `PARTITIONS`.
      num_clients: number of clients.
      options: arguments of any partition by name; this partition gets those that it has.
      folds: see `splits.marks_of`. The partition is the same in all folds of a key.
      fold: see `splits.marks_of`.

    Returns:
      The examples of every client.

    Raises:
      UserError: if there is no such partition, if there are too few examples, or if there are
        folds of data with a test set of the authors.
    """
    if partition not in PARTITIONS:
        raise UserError(f"unknown `partition` {partition!r}: use one of {', '.join(PARTITIONS)}")
    function = PARTITIONS[partition]
    known = {n: v for n, v in options.items() if n in inspect.signature(function).parameters}
    generator = keys.generator(keys.address(key, keys.Stream.SPLIT, client=_SHARES))
    test = np.flatnonzero(pool.is_test)
    train = np.flatnonzero(~pool.is_test)
    if folds and test.size:
        raise UserError(
            f"`folds` is {folds}, but the authors of these data set {test.size} examples apart for "
            "testing: leave it out"
        )
    parts = function(_labels(pool, train), num_clients, generator, **known)
    counts = np.array([len(part) for part in parts], np.int64)
    least = least_examples(folds)
    if counts.min() < least:
        raise UserError(
            f"a client has {counts.min()} examples, but its splits need {least}: raise "
            f"`min_examples`{' or lower `folds`' if folds else ''}"
        )
    own, owners = train[np.concatenate(parts)], np.repeat(np.arange(len(parts)), counts)
    marks = marks_of(counts, key, test=not test.size, folds=folds, fold=fold)
    found = [own[marks == part] for part in range(len(SPLITS))]
    numbers = counts_of_marks(marks, counts)
    if not test.size:
        return Assigned(tuple(found), tuple(numbers))
    if test.size < len(parts):
        raise UserError(
            f"{test.size} examples for testing are too few for {len(parts)} clients: lower "
            "`num_clients`, or raise `max_examples`"
        )
    tests = matched(
        _labels(pool, own),
        owners,
        _labels(pool, test),
        len(parts),
        keys.generator(keys.address(key, keys.Stream.SPLIT, client=_MATCHED)),
    )
    found[2] = test[np.concatenate(tests)]
    numbers[2] = np.array([len(positions) for positions in tests], np.int64)
    return Assigned(tuple(found), tuple(numbers))


def _labels(pool: Pool, indices: np.ndarray) -> Labels:
    """Returns the labels of some examples of a pool."""
    return Labels(pool.targets[indices], pool.groups[indices], pool.group_names)
