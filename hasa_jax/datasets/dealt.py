"""From a pool of images to the splits of all clients."""

from __future__ import annotations

import functools
import inspect
import os
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import ClientData, FederatedDataset, UserError
from hasa_jax.datasets.files import READERS
from hasa_jax.datasets.images import resized, standardised
from hasa_jax.datasets.partition import PARTITIONS, matched
from hasa_jax.datasets.partition.rows import Labels
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.splits import Split, split

_MATCHED, _SHARES = 10**6, 10**6 + 1  # Client addresses of what all clients share.


def images(
    read: Callable[[pathlib.Path], Pool],
    key: jax.Array,
    *,
    data_dir: str | os.PathLike[str],
    partition: str = "iid",
    num_clients: int = 10,
    alpha: float = 0.5,
    classes_per_client: int = 2,
    min_examples: int = 10,
    max_examples: int = 0,
    resize: int = 0,
) -> FederatedDataset:
    """Reads images from files, and deals them out to clients.

    Training examples are dealt out by the partition, and a tenth of a client's is set apart for
    validation. Where the authors set test examples apart, they go to clients in the proportions
    of their training labels; where not, a client's rows are split 80/10/10.

    Args:
      read: one of `READERS`.
      key: root key of the run; it is not consumed.
      data_dir: folder of the files.
      partition: one of `PARTITIONS`.
      num_clients: clients `N`.
      alpha: concentration of `dirichlet`, `balanced_dirichlet` and `quantity`.
      classes_per_client: classes of a client of `shards`.
      min_examples: fewest examples of a client.
      max_examples: training examples that are used, drawn at random, and as large a part of the
        test examples; 0 for all.
      resize: height and width to resize to; 0 for those of the files.

    Returns:
      The dataset: inputs float32 `[D, height, width, channels]` of mean 0 and deviation 1 in each
      channel over all training examples, targets `[D]`.

    Raises:
      UserError: if files are missing or damaged, or numbers do not fit together.
    """
    pool = read(pathlib.Path(data_dir))
    if partition not in PARTITIONS:
        raise UserError(f"unknown partition {partition!r}: use one of {', '.join(PARTITIONS)}")
    if max_examples:
        pool = _reduced(pool, max_examples, key)
    options = {
        "min_examples": min_examples,
        "alpha": alpha,
        "classes_per_client": classes_per_client,
    }
    rows = deal(pool, key, partition, num_clients, options)
    seen = resized(pool.inputs, resize) if resize else pool.inputs
    train = np.sort(np.concatenate([own[0] for own in rows]))
    inputs = standardised(seen, seen[train])
    return _assemble(pool, inputs, rows, _names(pool, partition, len(rows)))


def deal(
    pool: Pool, key: jax.Array, partition: str, num_clients: int, options: Mapping[str, Any]
) -> list[Split]:
    """Deals the rows of a pool out.

    Args:
      pool: the examples.
      key: root key of the run; it is not consumed.
      partition: one of `PARTITIONS`.
      num_clients: number of clients.
      options: of any partition; those that this one does not know are left out.

    Returns:
      Rows of training, validation and testing of each client, sorted.
    """
    function = PARTITIONS[partition]
    known = {n: v for n, v in options.items() if n in inspect.signature(function).parameters}
    generator = keys.generator(keys.address(key, keys.Stream.SPLIT, client=_SHARES))
    test = np.flatnonzero(pool.is_test)
    dealt = np.flatnonzero(~pool.is_test)
    labels = Labels(pool.targets[dealt], pool.groups[dealt], pool.group_names)
    own = [dealt[part] for part in function(labels, num_clients, generator, **known)]
    if not test.size:
        return [
            tuple(part[rows] for rows in split(len(part), _key_of(key, client)))
            for client, part in enumerate(own)
        ]
    tests = _matched_tests(pool, own, test, key)
    rows = []
    for client, (part, tested) in enumerate(zip(own, tests, strict=True)):
        order = keys.generator(_key_of(key, client)).permutation(len(part))
        held = max(1, round(0.1 * len(part)))
        rows.append((np.sort(part[order[held:]]), np.sort(part[order[:held]]), tested))
    return rows


def _key_of(key: jax.Array, client: int) -> jax.Array:
    """Returns the key that splits a client's rows."""
    return keys.address(key, keys.Stream.SPLIT, client=client)


def _matched_tests(
    pool: Pool, own: list[np.ndarray], test: np.ndarray, key: jax.Array
) -> list[np.ndarray]:
    """Deals test rows out by labels, and where the data have groups, within each group."""
    generator = keys.generator(keys.address(key, keys.Stream.SPLIT, client=_MATCHED))
    count = len(pool.classes)
    cells = pool.groups.astype(np.int64) * count + pool.targets
    size = count * len(pool.group_names)
    counts = np.stack([np.bincount(cells[part], minlength=size) for part in own])
    return [test[part] for part in matched(cells[test], counts, generator)]


def _reduced(pool: Pool, max_examples: int, key: jax.Array) -> Pool:
    """Keeps some of the examples, drawn at random, test examples in proportion."""
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    train, test = np.flatnonzero(~pool.is_test), np.flatnonzero(pool.is_test)
    if max_examples > len(train):
        raise UserError(f"max_examples is {max_examples}, but there are {len(train)}: lower it")
    kept_tests = max(1, round(len(test) * max_examples / len(train))) if len(test) else 0
    kept = np.sort(
        np.concatenate(
            [generator.permutation(train)[:max_examples], generator.permutation(test)[:kept_tests]]
        )
    )
    return Pool(
        pool.inputs[kept],
        pool.targets[kept],
        pool.is_test[kept],
        pool.classes,
        pool.groups[kept],
        pool.group_names,
    )


def _names(pool: Pool, partition: str, count: int) -> tuple[str, ...]:
    """Names clients after their groups where they have them."""
    groups = len(pool.group_names)
    if partition == "natural":
        return pool.group_names
    if partition == "domain":
        each = count // groups
        return tuple(f"{pool.group_names[i // each]} {i % each}" for i in range(count))
    return tuple(f"client_{i}" for i in range(count))


def _assemble(
    pool: Pool, inputs: np.ndarray, rows: list[Split], names: tuple[str, ...]
) -> FederatedDataset:
    """Lays the rows of all clients end to end."""

    def gather(part: int) -> ClientData:
        own = [client[part] for client in rows]
        order = np.concatenate(own)
        return ClientData(
            inputs=inputs[order],
            targets=pool.targets[order],
            offsets=np.cumsum([0, *map(len, own)]).astype(np.int32),
            num_classes=len(pool.classes),
        )

    return FederatedDataset(gather(0), gather(1), gather(2), names)


IMAGES = {name: functools.partial(images, read) for name, read in READERS.items()}
"""Builders of the image data sets, by name."""
