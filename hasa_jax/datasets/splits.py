"""Train, validation and test rows of every client, drawn from the client's own key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import ClientData, FederatedDataset, UserError

Split = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Row numbers of train, validation and test: disjoint, and together all rows."""


def split(
    num_examples: int,
    key: jax.Array,
    validation_fraction: float = 0.1,
    test_fraction: float = 0.1,
) -> Split:
    """Splits the rows of one client at random.

    Validation and test get `max(1, round(fraction * n))` rows each, training gets the rest.

    Args:
      num_examples: rows of the client, `n`.
      key: consumed.
      validation_fraction: share of rows for validation.
      test_fraction: share of rows for test.

    Returns:
      Row numbers of train, validation and test, each ascending, so that rows keep the order
      in which they were given.

    Raises:
      UserError: if no row would be left for training.
    """
    num_validation = max(1, round(validation_fraction * num_examples))
    num_test = max(1, round(test_fraction * num_examples))
    if num_validation + num_test >= num_examples:
        raise UserError(
            f"{num_examples} examples leave none for training after {num_validation} for "
            f"validation and {num_test} for test: give more examples or lower the fractions"
        )
    order = keys.generator(key).permutation(num_examples)
    validation, test, train = np.split(order, [num_validation, num_validation + num_test])
    return np.sort(train), np.sort(validation), np.sort(test)


def split_clients(num_examples: Mapping[str, int], key: jax.Array, what: str) -> list[Split]:
    """Splits every client by a key of its own.

    Args:
      num_examples: rows of each client, by name and in client order.
      key: root key of the run; it is not consumed.
      what: what a row is, for the messages ("titles of two or more words").

    Returns:
      One `Split` a client.

    Raises:
      UserError: for fewer than two clients, or a client with fewer than three rows.
    """
    if len(num_examples) < 2:
        found = f"only one client ({next(iter(num_examples))!r})" if num_examples else "no client"
        raise UserError(f"{found} in the data: federated learning needs at least two")
    for name, count in num_examples.items():
        if count < 3:
            raise UserError(
                f"client {name!r} has {count} {what}: train, validation and test need at least "
                "three; add some or remove the client"
            )
    return [
        split(count, keys.address(key, keys.Stream.SPLIT, client=i))
        for i, count in enumerate(num_examples.values())
    ]


def assemble(
    clients: Mapping[str, tuple[np.ndarray, np.ndarray]],
    splits: Sequence[Split],
    num_classes: int,
    num_tokens: int = 0,
) -> FederatedDataset:
    """Lays the split rows of all clients end to end.

    Args:
      clients: inputs `[n, ...]` and targets `[n]` or `[n, T]` of each client, by name.
      splits: rows of train, validation and test of each client, in the same order.
      num_classes: number of classes `K`.
      num_tokens: token ids of the inputs are below it; 0 if inputs are no tokens.

    Returns:
      The dataset; client order is the order of `clients`.
    """

    def gather(part: int) -> ClientData:
        rows = [client_split[part] for client_split in splits]
        pairs = list(zip(clients.values(), rows, strict=True))
        return ClientData(
            inputs=np.concatenate([inputs[r] for (inputs, _), r in pairs]),
            targets=np.concatenate([targets[r] for (_, targets), r in pairs]),
            offsets=np.cumsum([0, *map(len, rows)]).astype(np.int32),
            num_classes=num_classes,
        )

    return FederatedDataset(gather(0), gather(1), gather(2), tuple(clients), num_tokens)
