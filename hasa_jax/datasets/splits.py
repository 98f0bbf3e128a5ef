"""Train, validation and test examples of every client, drawn with the client's own key."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping, Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import ClientData, FederatedDataset, UserError
from hasa_jax.datasets.permutations import permutations

_BLOCK = 4096

LEAST = 3
"""Fewest examples of a client: one in each split."""

SPLITS = ("train", "validation", "test")
"""Names of the splits, by their position."""

Split = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Indices of train, validation and test: disjoint; their union has every index."""


def split(
    num_examples: int,
    key: jax.Array,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
) -> Split:
    """Splits the examples of one client at random; see `split_by`.

    Args:
      num_examples: examples of the client, `n`.
      key: consumed.
      validation_fraction: share of the examples for validation.
      test_fraction: share of the examples for test.

    Returns:
      Indices of train, validation and test, each ascending.

    Raises:
      UserError: if no example is left for training.
    """
    return split_by(num_examples, keys.generator(key), validation_fraction, test_fraction)


def split_by(
    num_examples: int,
    generator: np.random.Generator,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
) -> Split:
    """Splits the examples of one client at random.

    Validation and test get `max(1, round(fraction * n))` examples each, training gets the rest.

    Args:
      num_examples: examples of the client, `n`.
      generator: consumed.
      validation_fraction: share of the examples for validation.
      test_fraction: share of the examples for test.

    Returns:
      Indices of train, validation and test, each ascending: examples keep their order.

    Raises:
      UserError: if no example is left for training.
    """
    num_validation = max(1, round(validation_fraction * num_examples))
    num_test = max(1, round(test_fraction * num_examples))
    if num_validation + num_test >= num_examples:
        raise UserError(
            f"{num_examples} examples leave none for training after {num_validation} for "
            f"validation and {num_test} for test: give more examples or lower the fractions"
        )
    order = generator.permutation(num_examples)
    validation, test, train = np.split(order, [num_validation, num_validation + num_test])
    return np.sort(train), np.sort(validation), np.sort(test)


def split_clients(
    num_examples: Mapping[str, int], key: jax.Array, what: str, folds: int = 0, fold: int = 0
) -> list[Split]:
    """Splits every client with a key of its own.

    Args:
      num_examples: examples of each client, by name and in client order.
      key: root key of the seed; it is not consumed.
      what: what an example is, for the messages ("titles of two or more words").
      folds: see `marks_of`.
      fold: see `marks_of`.

    Returns:
      One `Split` per client.

    Raises:
      UserError: if there are fewer than two clients, if a client has too few examples, or if there
        is no such fold.
    """
    counts = np.array([*num_examples.values()], np.int64)
    check_clients(list(num_examples), counts, what, folds)
    marks = marks_of(counts, key, folds=folds, fold=fold)
    parts = np.split(marks, np.cumsum(counts)[:-1])
    return [
        (np.flatnonzero(own == 0), np.flatnonzero(own == 1), np.flatnonzero(own == 2))
        for own in parts
    ]


def least_examples(folds: int) -> int:
    """Returns the fewest examples of a client: one in each split of each fold.

    Args:
      folds: number of folds; 0 for none.

    Returns:
      `LEAST`; with folds, at least one for the test part of each.
    """
    # Of three examples, the larger of two test parts and validation leave none for training.
    return max(folds, LEAST + (folds == 2))


def check_folds(folds: int, fold: int) -> None:
    """Refuses a fold that there is not.

    Args:
      folds: number of folds `K`; 0 for none.
      fold: from 1 to K; 0 if there are none.

    Raises:
      UserError: if `folds` is 1 or negative, or if `fold` is out of range.
    """
    if folds < 0 or folds == 1:
        raise UserError(f"`folds` is {folds}: it must be 0 for none, or at least 2")
    if not min(folds, 1) <= fold <= folds:
        span = f"from 1 to {folds}" if folds else "0, as there are no folds"
        raise UserError(f"`fold` is {fold}: it must be {span}")


def check_clients(names: Sequence[str], counts: np.ndarray, what: str, folds: int = 0) -> None:
    """Refuses data of fewer than two clients, and clients with too few examples.

    Args:
      names: of the clients.
      counts: examples of each of them `[N]`.
      what: what an example is, for the messages ("titles of two or more words").
      folds: number of folds; 0 for none.

    Raises:
      UserError: naming the first few.
    """
    if len(names) < 2:
        found = f"only one client ({names[0]!r})" if names else "no client"
        raise UserError(f"{found} in the data: federated learning needs at least two")
    if folds:
        _check_fold_sizes(names, np.asarray(counts), what, folds)
        return
    small = np.flatnonzero(np.asarray(counts) < LEAST).tolist()
    if len(small) == 1:
        raise UserError(
            f"client {names[small[0]]!r} has {counts[small[0]]} {what}: train, validation and test "
            "need at least three; add some or remove the client"
        )
    if small:
        first = ", ".join(f"{names[i]!r} ({counts[i]})" for i in small[:3])
        more = f" and {len(small) - 3} more" if len(small) > 3 else ""
        raise UserError(
            f"{len(small)} of {len(names)} clients have fewer than three {what}, which "
            f"train, validation and test need: {first}{more}; add some or remove the clients"
        )


def _check_fold_sizes(names: Sequence[str], counts: np.ndarray, what: str, folds: int) -> None:
    """Refuses clients with too few examples for some folds, naming the first few."""
    least = least_examples(folds)
    small = np.flatnonzero(counts < least).tolist()
    if small:
        first = ", ".join(f"{names[i]!r} ({counts[i]})" for i in small[:3])
        more = f" and {len(small) - 3} more" if len(small) > 3 else ""
        raise UserError(
            f"`folds` is {folds}, which needs {least} {what} of each client; {len(small)} of "
            f"{len(names)} have fewer: {first}{more}; lower it, add some or remove the clients"
        )


def marks_of(
    counts: np.ndarray, key: jax.Array, *, test: bool = True, folds: int = 0, fold: int = 0
) -> np.ndarray:
    """Splits every client with a key of its own, for all clients at once.

    Without folds, every client is split as `split` does. With `K` folds, position `r` of the same
    permutation of a client's `n` examples is for test in the fold `f` with
    `n (f - 1) // K <= r < n f // K`. The `max(1, round(n / 10))` positions after these, from the
    start again after the last one, are for validation; the others are for training.

    Args:
      counts: examples of each client `[N]`, `least_examples(folds)` or more.
      key: root key of the seed, the same for all of its folds; it is not consumed.
      test: whether some examples are for test; if not, their share is left for training.
      folds: number of folds `K`; 0 for none. Over all folds, each example is for test once.
      fold: from 1 to `K`; 0 if there are none.

    Returns:
      The position in `SPLITS` of each example `[D]`, int8, client by client.

    Raises:
      UserError: if there is no such fold.
    """
    check_folds(folds, fold)
    counts = np.asarray(counts, np.int64)
    held = held_of(counts)
    found = []
    for clients, order in permutations(counts, key, keys.Stream.SPLIT):
        own = counts[clients]
        starts = np.repeat(np.cumsum(own) - own, own)
        rank, limit = np.arange(len(order)) - starts, np.repeat(held[clients], own)
        marks = np.zeros(len(order), np.int8)
        if folds:
            marks[starts + order] = marks_of_fold(rank, np.repeat(own, own), limit, folds, fold)
        else:
            tested = test & (rank < 2 * limit)
            marks[starts + order] = np.where(rank < limit, 1, np.where(tested, 2, 0))
        found.append(marks)
    return np.concatenate(found)


def held_of(counts: np.ndarray) -> np.ndarray:
    """Returns how many examples are for validation: a tenth, rounded, and one at least.

    Args:
      counts: examples of each client `[N]`.

    Returns:
      The numbers `[N]`, int64; as many are for test where there are no folds.
    """
    # Python and NumPy both round half to even.
    return np.maximum(1, np.rint(0.1 * counts)).astype(np.int64)


def marks_of_fold(
    rank: np.ndarray, count: np.ndarray, held: np.ndarray, folds: int, fold: int
) -> np.ndarray:
    """Returns the splits of examples in one fold; see `marks_of`.

    Args:
      rank: place of each example in the order of its client `[D]`.
      count: examples of its client `[D]`.
      held: examples for validation of its client `[D]`.
      folds: number of folds `K`.
      fold: from 1 to `K`.

    Returns:
      Positions in `SPLITS` `[D]`.
    """
    first, after = count * (fold - 1) // folds, count * fold // folds
    for_validation = (rank - after) % count < held
    return np.where((first <= rank) & (rank < after), 2, np.where(for_validation, 1, 0))


def counts_of_marks(marks: np.ndarray, counts: np.ndarray) -> list[np.ndarray]:
    """Counts the examples of each split.

    Args:
      marks: from `marks_of` `[D]`.
      counts: examples of each client `[N]`, at least one.

    Returns:
      Examples of each client `[N]`, for each of `SPLITS`.
    """
    starts = np.cumsum(counts) - counts
    return [np.add.reduceat(marks == part, starts, dtype=np.int64) for part in range(len(SPLITS))]


def generators_of_clients(
    key: jax.Array, num_clients: int, stream: keys.Stream = keys.Stream.SPLIT, first: int = 0
) -> Iterator[np.random.Generator]:
    """Yields a generator of each client: that of its address in a stream.

    Args:
      key: root key of the run; it is not consumed.
      num_clients: number of clients `N`.
      stream: what the generators are for.
      first: the address of client 0.

    Yields:
      `keys.generator(keys.address(key, stream, client=first + i))` for each client i.
    """
    if num_clients < _BLOCK:
        for client in range(first, first + num_clients):
            yield keys.generator(keys.address(key, stream, client=client))
        return
    one = functools.partial(_address, stream)
    addresses = jax.jit(jax.vmap(one, in_axes=(None, 0)))
    # Blocks of one size are compiled once; one key at a time takes a millisecond each.
    for start in range(0, num_clients, _BLOCK):
        clients = np.arange(first + start, first + start + _BLOCK, dtype=np.int32)
        found = addresses(key, clients)
        for words in np.asarray(jax.random.key_data(found))[: num_clients - start].tolist():
            yield np.random.Generator(np.random.Philox(np.random.SeedSequence(words)))


def _address(stream: keys.Stream, key: jax.Array, client: jax.Array) -> jax.Array:
    """Returns the key of one client in a stream."""
    return keys.address(key, stream, client=client)


def assemble(
    clients: Mapping[str, tuple[np.ndarray, np.ndarray]],
    splits: Sequence[Split],
    num_classes: int,
    num_tokens: int = 0,
) -> FederatedDataset:
    """Joins the examples of all clients into one flat array per split.

    Args:
      clients: inputs `[n, ...]` and targets `[n]` or `[n, T]` of each client, by name.
      splits: indices of train, validation and test of each client, in the same order.
      num_classes: number of classes `K`.
      num_tokens: token ids of the inputs are below it; 0 if inputs are not tokens.

    Returns:
      The dataset; client order is the order of `clients`.
    """

    def gather(part: int) -> ClientData:
        own = [client_split[part] for client_split in splits]
        pairs = list(zip(clients.values(), own, strict=True))
        return ClientData(
            inputs=np.concatenate([inputs[indices] for (inputs, _), indices in pairs]),
            targets=np.concatenate([targets[indices] for (_, targets), indices in pairs]),
            offsets=np.cumsum([0, *map(len, own)]).astype(np.int32),
            num_classes=num_classes,
        )

    return FederatedDataset(gather(0), gather(1), gather(2), tuple(clients), num_tokens)
