"""From a pool of examples to a federated dataset."""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import ClientData, FederatedDataset, UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.images import resized, standardised
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.partition.assign import Assigned, assign
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.texts import encoded


def partitioned(
    pool: Pool,
    key: jax.Array,
    *,
    partition: str | None = None,
    num_clients: int = 10,
    alpha: float = 0.5,
    classes_per_client: int = 2,
    min_examples: int = 10,
    max_examples: int = 0,
    max_per_group: int = 0,
    resize: int = 0,
    vocab_size: int = 3000,
    max_length: int = 16,
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Assigns the examples of a pool to clients, and converts them to what models take.

    Args:
      pool: the examples.
      key: root key of the run; it is not consumed.
      partition: name of one of `PARTITIONS`; None means `natural` if the data name groups
        (writers, sources, domains), and `iid` if not.
      num_clients: number of clients `N`; `natural` has one client per group.
      alpha: concentration of `dirichlet`, `balanced_dirichlet` and `quantity`.
      classes_per_client: classes of each client of `shards`.
      min_examples: fewest examples of a client before they are split.
      max_examples: examples to use, drawn at random; 0 means all. A test set of the authors does
        not count: it is reduced in proportion.
      max_per_group: the same for each group of the data (writer, source, domain); 0 means all.
      resize: new height and width of images in pixels; 0 means the size in the files.
      vocab_size: largest number of token ids of texts; 0 means no limit; see `texts.encoded`.
      max_length: tokens kept of a text, `T`.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
        Data with a test set of the authors have no folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset. Inputs of images are float32 `[D, height, width, channels]`, with mean 0 and
      deviation 1 in each channel over all training examples. Inputs of texts are int32 ids
      `[D, T]` of pieces of words of the training texts. Targets are int32 `[D]`.

    Raises:
      UserError: if an argument is out of range or does not match the data.
    """
    at_least(0, max_examples=max_examples, max_per_group=max_per_group, resize=resize)
    if partition is None:
        partition = "natural" if len(pool.group_names) > 1 else "iid"
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    if max_per_group:
        pool = _reduced(pool, max_per_group, pool.groups, generator, "max_per_group")
    if max_examples:
        one_group = np.zeros_like(pool.groups)
        pool = _reduced(pool, max_examples, one_group, generator, "max_examples")
    if pool.skips_small_groups and partition == "natural":
        pool = _without_small_groups(pool, min_examples)
    options = {
        "min_examples": min_examples,
        "alpha": alpha,
        "classes_per_client": classes_per_client,
    }
    assigned = assign(pool, key, partition, num_clients, options, folds, fold)
    train = np.sort(assigned.indices[0])
    if pool.has_texts:
        if resize:
            raise UserError(f"`resize` is {resize}, but these data are texts: leave it out")
        inputs, num_tokens = encoded(pool.inputs, train, vocab_size, max_length)
    else:
        side = resize**2 or pool.inputs.shape[1] * pool.inputs.shape[2]
        # Numbers of four bytes, which the splits copy.
        size = 8 * len(pool.inputs) * side * pool.inputs.shape[3]
        check_memory(size, f"`resize` is {resize}" if resize else f"{len(pool.inputs)} images")
        images = resized(pool.inputs, resize) if resize else pool.inputs
        inputs, num_tokens = standardised(images, images[train]), 0
    names = _names(pool, partition, len(assigned.counts[0]))
    return _assemble(pool, inputs, assigned, names, num_tokens)


def _reduced(
    pool: Pool, most: int, groups: np.ndarray, generator: np.random.Generator, name: str
) -> Pool:
    """Keeps random examples of each group: `most` for training, for testing in proportion."""
    kept, count = [], int(groups.max()) + 1
    kinds = 2 * groups.astype(np.int64) + pool.is_test
    ends = np.cumsum(np.bincount(kinds, minlength=2 * count))
    parts = np.split(np.argsort(kinds, kind="stable"), ends[:-1])
    for train, test in zip(parts[::2], parts[1::2], strict=True):
        if most > len(train):
            raise UserError(f"`{name}` is {most}, but there are only {len(train)}: lower it")
        kept_tests = max(1, round(len(test) * most / len(train))) if len(test) else 0
        kept += [generator.permutation(train)[:most], generator.permutation(test)[:kept_tests]]
    indices = np.sort(np.concatenate(kept))
    return _chosen(pool, indices)


def _without_small_groups(pool: Pool, least: int) -> Pool:
    """Leaves out the groups with fewer than `least` examples for training, with a note."""
    counts = np.bincount(pool.groups[~pool.is_test], minlength=len(pool.group_names))
    small = np.flatnonzero(counts < least)
    if not small.size:
        return pool
    kept = np.flatnonzero(counts >= least)
    indices = np.flatnonzero(np.isin(pool.groups, kept))
    first = ", ".join(f"{pool.group_names[g]!r} ({counts[g]})" for g in small[:3])
    more = f" and {len(small) - 3} more" if len(small) > 3 else ""
    note = f"{len(small)} clients with fewer than {least} examples were left out: {first}{more}"
    return dataclasses.replace(
        _chosen(pool, indices),
        groups=np.searchsorted(kept, pool.groups[indices]).astype(np.int32),
        group_names=tuple(pool.group_names[g] for g in kept),
        notes=(*pool.notes, note),
    )


def _chosen(pool: Pool, indices: np.ndarray) -> Pool:
    """Returns some examples of a pool."""
    return dataclasses.replace(
        pool,
        inputs=pool.inputs[indices],
        targets=pool.targets[indices],
        is_test=pool.is_test[indices],
        groups=pool.groups[indices],
    )


def _names(pool: Pool, partition: str, num_clients: int) -> tuple[str, ...]:
    """Names clients after their groups where a client has one group."""
    if partition == "natural":
        return pool.group_names
    if partition == "domain":
        each = num_clients // len(pool.group_names)
        return tuple(f"{pool.group_names[i // each]} {i % each}" for i in range(num_clients))
    return tuple(f"client_{i}" for i in range(num_clients))


def _assemble(
    pool: Pool,
    inputs: np.ndarray,
    assigned: Assigned,
    names: tuple[str, ...],
    num_tokens: int,
) -> FederatedDataset:
    """Joins the examples of all clients into one flat array per split."""

    def gather(part: int) -> ClientData:
        order = assigned.indices[part]
        return ClientData(
            inputs=inputs[order],
            targets=pool.targets[order],
            offsets=np.concatenate([[0], np.cumsum(assigned.counts[part])]).astype(np.int32),
            num_classes=len(pool.classes),
        )

    return FederatedDataset(gather(0), gather(1), gather(2), names, num_tokens, pool.notes)
