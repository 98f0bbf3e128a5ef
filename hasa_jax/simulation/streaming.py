"""A population larger than a device's memory: only the clients at hand lie on it.

Clients keep their ids, so keys, batches and cohorts are those of the whole population: a round
on the part that it needs is the same round, bit for bit. All of this is on the host; arrays may
be memory-mapped files, of which only the rows of the clients at hand are read.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from hasa_jax.base import ClientData, Cohort, UserError
from hasa_jax.supernet.types import Model


def check(model: Model) -> None:
    """Refuses a model whose evaluation looks at the training data of all clients.

    Args:
      model: the supernet.

    Raises:
      UserError: if it has norms that calibration makes static.
    """
    if model.moments:
        raise UserError(
            "static norms are calibrated on the training data of all clients, which never lie on "
            "the device together when data is streamed: use --norm=batch, group or layer"
        )


def clients_of(cohort: Cohort) -> np.ndarray:
    """Returns the ids of the clients of a cohort, or of a stack of them, rising and once each."""
    index = np.unique(np.asarray(cohort.index))
    # Empty lanes have index -1.
    return index[index >= 0]


def capacity_of(num_examples: np.ndarray, parts: Iterable[np.ndarray]) -> int:
    """Returns the most examples that any of some sets of clients has, and at least 1.

    Args:
      num_examples: examples of every client of the population `[N]`.
      parts: ids of the clients that lie on the device together, without repeats, set by set.

    Returns:
      Examples.
    """
    return max([1, *(int(num_examples[clients].sum(dtype=np.int64)) for clients in parts)])


def subset(data: ClientData, clients: np.ndarray, capacity: int) -> ClientData:
    """Copies the examples of some clients; the others are left without any.

    Args:
      data: examples of all clients, on the host or in a memory-mapped file.
      clients: ids, in any order.
      capacity: rows of the result, so that its shapes do not depend on the clients.

    Returns:
      Data of the same `N` clients with `capacity` rows: those of `clients` in client order,
      then repeats of the first one, which belong to nobody.

    Raises:
      UserError: if the clients have more examples than that.
    """
    # A population may have more rows than int32 counts; a part of it may not.
    starts = np.asarray(data.offsets, np.int64)
    clients = np.unique(clients)
    own = np.zeros(data.num_clients, np.int64)
    own[clients] = np.diff(starts)[clients]
    offsets = np.concatenate([[0], np.cumsum(own)])
    if offsets[-1] > capacity:
        raise UserError(
            f"{len(clients)} clients have {offsets[-1]} examples, but there is room for {capacity}"
        )

    def packed(values: Any) -> np.ndarray:
        out = np.zeros((capacity, *values.shape[1:]), values.dtype)
        for client in clients:
            out[offsets[client] : offsets[client + 1]] = values[starts[client] : starts[client + 1]]
        out[offsets[-1] :] = out[:1]
        return out

    return dataclasses.replace(
        data,
        inputs=packed(data.inputs),
        targets=packed(data.targets),
        offsets=offsets.astype(np.int32),
    )


def chunks(num_examples: Sequence[np.ndarray], capacity: int) -> list[np.ndarray]:
    """Cuts the population into sets of equally many clients whose examples fit, to evaluate.

    Args:
      num_examples: examples of every client `[N]` in each split that must fit.
      capacity: the most examples of a set, all of those splits together; a single client may
        have more.

    Returns:
      Client ids, rising; every client is in one set or more, since the last set begins early
      where the number of clients leaves a rest, so that no program is compiled for it.
    """
    total = np.concatenate([[0], np.cumsum(np.sum(num_examples, axis=0, dtype=np.int64))])
    population = len(total) - 1

    def too_many(size: int) -> bool:
        return bool((total[size:] - total[:-size]).max() > capacity)

    # Any so many consecutive clients fit, so it does not matter where a set begins.
    size = max(1, bisect.bisect_left(range(1, population + 1), True, key=too_many))
    firsts = np.minimum(np.arange(0, population, size), population - size)
    return [np.arange(first, first + size) for first in firsts]
