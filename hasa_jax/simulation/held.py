"""The clients whose data a device holds, and how their examples get there."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from hasa_jax.base import ClientData, UserError
from hasa_jax.execution.layout import Cohort
from hasa_jax.execution.mesh import MeshShape
from hasa_jax.execution.sharding import place_blocks

Held = Sequence[Sequence[np.ndarray]]
"""Ids of the clients whose data each device holds, rising, for every trial: `[E][P][m]`."""


def held_by_slots(cohort: Cohort) -> Held:
    """Returns the clients that each device runs.

    Args:
      cohort: of several trials, leaves `[E, ..., P, V, L]`; axes between are rounds.

    Returns:
      Their ids.
    """
    client = np.moveaxis(np.asarray(cohort.slots.client), -3, 1)
    return [[own[own >= 0] for own in map(np.unique, trial)] for trial in client]


def local_to(cohort: Cohort, held: Held) -> Cohort:
    """Says where the clients of a cohort are in the data of their devices.

    Args:
      cohort: of several trials, leaves `[E, ..., P, V, L]`.
      held: what each device holds; it holds all clients that it runs.

    Returns:
      The cohort, with `Slot.local`.

    Raises:
      UserError: if a device would run a client whose data it does not hold.
    """
    client = np.asarray(cohort.slots.client)
    local = np.zeros_like(client)
    for e, devices in enumerate(held):
        for p, own in enumerate(devices):
            asked = client[e, ..., p, :, :]
            found = np.minimum(np.searchsorted(own, asked), max(len(own) - 1, 0))
            taken = asked >= 0
            if taken.any() and not (len(own) and (own[found] == asked)[taken].all()):
                raise UserError(
                    "a `cohort` was placed on devices that do not hold the data of its clients: "
                    "draw it with `sample` of the algorithm that runs it"
                )
            local[e, ..., p, :, :] = np.where(taken, found, 0)
    return dataclasses.replace(cohort, slots=dataclasses.replace(cohort.slots, local=local))


def most_examples(parts: Sequence[ClientData], held: Held) -> int:
    """Returns the most examples of a device, and at least 1.

    Args:
      parts: one split of every trial.
      held: what each device holds.
    """
    return max(
        [
            int(np.asarray(data.num_examples)[own].sum(dtype=np.int64))
            for data, devices in zip(parts, held, strict=True)
            for own in devices
        ]
        + [1]
    )


def put_held(
    parts: Sequence[ClientData], held: Held, mesh: MeshShape, *, examples: int, clients: int
) -> ClientData:
    """Places the examples of some clients on the devices that hold them.

    Args:
      parts: one split of every trial, on the host or in memory-mapped files.
      held: what each device holds.
      mesh: the devices.
      examples: room of a device, so that shapes do not depend on the clients.
      clients: room of a device for clients; those beyond have no examples.

    Returns:
      Data `[E, P, ...]`: a device's clients in the order of `held`, then padding, which repeats
      its first example.

    Raises:
      UserError: if there is less room than some device needs, or the trials do not fit each other.
    """
    _check_alike(parts)
    first = parts[0]
    lead = (len(parts), mesh.clients)

    def flat(name: str) -> Any:
        values = getattr(first, name)
        return place_blocks(
            (*lead, examples, *values.shape[1:]),
            mesh,
            lambda e, p: packed(parts[e], getattr(parts[e], name), held[e][p], examples),
        )

    return ClientData(
        inputs=flat("inputs"),
        targets=flat("targets"),
        offsets=place_blocks(
            (*lead, clients + 1), mesh, lambda e, p: offsets_of(parts[e], held[e][p], clients)
        ),
        num_classes=first.num_classes,
    )


def all_examples(parts: Sequence[ClientData]) -> ClientData:
    """Stacks the examples of all clients of each trial, on the host.

    Args:
      parts: one split of every trial.

    Returns:
      Data `[E, ...]`; padding fills up the trials with fewer examples.

    Raises:
      UserError: if they do not fit each other.
    """
    _check_alike(parts)
    most = max(len(part.inputs) for part in parts)

    def flat(name: str) -> np.ndarray:
        return np.stack(
            [packed(part, getattr(part, name), np.arange(part.num_clients), most) for part in parts]
        )

    return ClientData(
        inputs=flat("inputs"),
        targets=flat("targets"),
        offsets=np.stack([np.asarray(part.offsets) for part in parts]),
        num_classes=parts[0].num_classes,
    )


def _check_alike(parts: Sequence[ClientData]) -> None:
    """Refuses trials whose data have different clients, classes or shapes."""
    if len({(part.num_clients, part.num_classes, part.inputs.shape[1:]) for part in parts}) > 1:
        raise UserError(
            "seeds that share a program must have the same number of clients and classes and the "
            "same shape of an example"
        )


def packed(data: ClientData, values: Any, clients: np.ndarray, room: int) -> np.ndarray:
    """Copies the examples of some clients.

    Args:
      data: examples of all clients.
      values: its inputs or targets `[D, ...]`, maybe a memory-mapped file.
      clients: ids, rising.
      room: examples of the result.

    Returns:
      The examples `[room, ...]`, in client order, then padding. All of the data are not copied.

    Raises:
      UserError: if the clients have more examples than that.
    """
    # A population may have more examples than int32 counts; a part of it may not.
    offsets = np.asarray(data.offsets)
    starts = offsets[clients].astype(np.int64)
    counts = offsets[clients + 1].astype(np.int64) - starts
    ends = np.cumsum(counts)
    total = int(ends[-1]) if len(ends) else 0
    if total > room:
        raise UserError(
            f"{len(clients)} clients have {total} examples, but there is room for {room}"
        )
    if total == room == len(values):
        return np.asarray(values)
    out = np.zeros((room, *values.shape[1:]), values.dtype)
    out[:total] = values[np.repeat(starts - ends + counts, counts) + np.arange(total)]
    out[total:] = out[:1]
    return out


def offsets_of(data: ClientData, clients: np.ndarray, room: int) -> np.ndarray:
    """Returns where the examples of some clients begin, once packed.

    Args:
      data: examples of all clients.
      clients: ids, rising.
      room: clients of the result; those beyond have no examples.

    Returns:
      Offsets `[room + 1]`, int32.
    """
    offsets = np.asarray(data.offsets)
    counts = offsets[clients + 1].astype(np.int64) - offsets[clients]
    ends = np.concatenate([[0], np.cumsum(counts)])
    return np.concatenate([ends, np.full(room - len(clients), ends[-1])]).astype(np.int32)
