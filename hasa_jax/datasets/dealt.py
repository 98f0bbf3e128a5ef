"""From what a reader finds in files to the splits of all clients."""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import ClientData, FederatedDataset, UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.images import resized, standardised
from hasa_jax.datasets.partition.deal import deal
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.splits import Split
from hasa_jax.datasets.texts import encoded

Builder = Callable[..., FederatedDataset]
"""`(key, *, ...) -> FederatedDataset`."""

_PATHS = ("data_dir", "data_path")
"""Arguments of readers that users may give as texts."""

_OF_IMAGES = {"resize"}
_OF_TEXTS = {"vocab_size", "max_length"}
"""Arguments of `dealt` that are read for one kind of inputs alone."""


def dealt(
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
) -> FederatedDataset:
    """Deals examples out to clients, and turns them into what models take.

    Args:
      pool: the examples.
      key: root key of the run; it is not consumed.
      partition: one of `PARTITIONS`; `natural` if None and the data tell clients (writers,
        sources, domains), `iid` if they do not.
      num_clients: clients `N`; `natural` has its own number.
      alpha: concentration of `dirichlet`, `balanced_dirichlet` and `quantity`.
      classes_per_client: classes of a client of `shards`.
      min_examples: fewest examples of a client, before some are set apart for validation.
      max_examples: examples that are used, drawn at random, and beside them as large a part of
        what the authors set apart for testing; 0 for all.
      max_per_group: the same for each group of the data (writer, source, domain); 0 for all.
      resize: height and width to resize images to; 0 for those of the files.
      vocab_size: most token ids of texts; 0 for all, see `texts.encoded`.
      max_length: tokens kept of a text, `T`.

    Returns:
      The dataset: inputs float32 `[D, height, width, channels]` of mean 0 and deviation 1 in each
      channel over all training examples, or ids int32 `[D, T]` of pieces of words that training
      texts are made of; targets `[D]`.

    Raises:
      UserError: if numbers do not fit together.
    """
    at_least(0, max_examples=max_examples, max_per_group=max_per_group, resize=resize)
    if partition is None:
        partition = "natural" if len(pool.group_names) > 1 else "iid"
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    if max_per_group:
        pool = _reduced(pool, max_per_group, pool.groups, generator, "max_per_group")
    if max_examples:
        everything = np.zeros_like(pool.groups)
        pool = _reduced(pool, max_examples, everything, generator, "max_examples")
    options = {
        "min_examples": min_examples,
        "alpha": alpha,
        "classes_per_client": classes_per_client,
    }
    rows = deal(pool, key, partition, num_clients, options)
    train = np.sort(np.concatenate([own[0] for own in rows]))
    if pool.holds_texts:
        if resize:
            raise UserError(f"resize is {resize}, but these data are texts: leave it out")
        inputs, num_tokens = encoded(pool.inputs, train, vocab_size, max_length)
    else:
        seen = resized(pool.inputs, resize) if resize else pool.inputs
        inputs, num_tokens = standardised(seen, seen[train]), 0
    return _assemble(pool, inputs, rows, _names(pool, partition, rows), num_tokens)


def builder(read: Callable[..., Pool], *, texts: bool | None = None) -> Builder:
    """Makes a builder of data sets out of a reader.

    Args:
      read: takes arguments by name, such as `data_dir`, and returns a `Pool`. An argument that
        `dealt` has too, such as `resize`, is the reader's.
      texts: whether the reader reads texts, or images; None if that is not known yet.

    Returns:
      A builder that takes the arguments of the reader and those of `dealt` for what it reads.
    """
    own = list(inspect.signature(read).parameters.values())
    key, *others = list(inspect.signature(dealt).parameters.values())[1:]
    of_others = {True: _OF_IMAGES, False: _OF_TEXTS, None: set()}[texts]
    left_out = {p.name for p in own} | of_others
    others = [p for p in others if p.name not in left_out]

    def build(key: jax.Array, **arguments: Any) -> FederatedDataset:
        signature.bind(key, **arguments)
        found = {p.name: arguments.pop(p.name) for p in own if p.name in arguments}
        paths = {name: pathlib.Path(found[name]) for name in _PATHS if name in found}
        return dealt(read(**found | paths), key, **arguments)

    by_name = [p.replace(kind=inspect.Parameter.KEYWORD_ONLY) for p in own]
    signature = inspect.Signature([key, *by_name, *others])
    build.__signature__ = signature  # pyright: ignore
    build.__doc__ = read.__doc__
    return build


def _reduced(
    pool: Pool, most: int, groups: np.ndarray, generator: np.random.Generator, name: str
) -> Pool:
    """Keeps some examples of each group, drawn at random, test examples in proportion."""
    kept = []
    for group in range(int(groups.max()) + 1):
        train, test = (np.flatnonzero((groups == group) & (pool.is_test == t)) for t in (0, 1))
        if most > len(train):
            raise UserError(f"{name} is {most}, but only {len(train)} are there: lower it")
        kept_tests = max(1, round(len(test) * most / len(train))) if len(test) else 0
        kept += [generator.permutation(train)[:most], generator.permutation(test)[:kept_tests]]
    rows = np.sort(np.concatenate(kept))
    return Pool(
        pool.inputs[rows],
        pool.targets[rows],
        pool.is_test[rows],
        pool.classes,
        pool.groups[rows],
        pool.group_names,
    )


def _names(pool: Pool, partition: str, rows: list[Split]) -> tuple[str, ...]:
    """Names clients after their groups where they have them."""
    groups, count = len(pool.group_names), len(rows)
    if partition == "natural":
        return pool.group_names
    if partition == "domain":
        each = count // groups
        return tuple(f"{pool.group_names[i // each]} {i % each}" for i in range(count))
    return tuple(f"client_{i}" for i in range(count))


def _assemble(
    pool: Pool,
    inputs: np.ndarray,
    rows: list[Split],
    names: tuple[str, ...],
    num_tokens: int,
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

    return FederatedDataset(gather(0), gather(1), gather(2), names, num_tokens)
