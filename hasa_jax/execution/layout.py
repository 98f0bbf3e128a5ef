"""Placement: clients into turns of one kind, turns onto devices.

All of it happens on the host, once a round, and touches no program: kinds and array shapes
are those of the run, so cohorts change and nothing is compiled again.
"""

from __future__ import annotations

import functools
import heapq

import numpy as np

from hasa_jax.base import Cohort, Kind, UserError
from hasa_jax.supernet import costs
from hasa_jax.supernet.buckets import consecutive_groups
from hasa_jax.supernet.types import Extraction, Model

_MOST_EXACT = 8
"""Up to so many sizes, each one is a kind of its own; every kind is code to compile."""

_EXECUTED_OVER_OWN = 1.08
"""With more sizes than that, kinds are added until parameters executed over held meet this."""


def place(
    model: Model,
    extraction: Extraction,
    lanes: int | None,
    devices: int,
    whole: bool,
    clients: np.ndarray,
    kept: np.ndarray,
    weights: np.ndarray,
    num_examples: np.ndarray,
    batch_size: int,
    possible: np.ndarray | None = None,
    alone: bool = False,
) -> Cohort:
    """Deals a cohort out: turns of equal kind, about the same work on each device.

    Args:
      model: the supernet.
      extraction: which part of it a client holds.
      lanes: clients of a turn; None to share the cohort out evenly over kinds and devices.
      devices: how many take turns.
      whole: whether every client is computed at full size.
      clients: client ids `[C]`.
      kept: the size that each of them has, as units of the largest group `[C]`.
      weights: their aggregation weights `[C]`.
      num_examples: examples of every client of the population `[N]`.
      batch_size: examples in a batch.
      possible: sizes that clients may have in this run, with repeats; `kept` if None.
      alone: whether to use one device only, because other seeds run on the others.

    Returns:
      The cohort.
    """
    devices = 1 if alone else devices
    finest = max(model.groups.values())
    if whole:
        largest = {int(size): finest for size in kept}
        kinds = (Kind(extraction.shape(model, finest), exact=False),)
        kind_of = {finest: 0}
    else:
        values, counts = np.unique(kept if possible is None else possible, return_counts=True)
        if not np.isin(kept, values).all():
            raise UserError(
                f"clients have sizes {np.setdiff1d(kept, values).tolist()}, which are not among "
                "the possible ones: `possible` must hold every size of the run and its evaluations"
            )
        largest = _grouped(model, extraction, tuple(values.tolist()), tuple(counts.tolist()))
        ends = sorted(set(largest.values()), reverse=True)
        shared = {end for size, end in largest.items() if size != end}
        kinds = tuple(Kind(extraction.shape(model, end), end not in shared) for end in ends)
        kind_of = {end: number for number, end in enumerate(ends)}
    count = len(clients)
    lanes = min(count, lanes or -(-count // (len(kinds) * devices)))
    batches = -(-num_examples[clients] // batch_size)
    turns = _turns(np.array([kind_of[largest[int(size)]] for size in kept]), batches, lanes)
    work = [
        _parameters(model, extraction, largest[int(kept[turn[0]])]) * float(batches[turn].max())
        for turn in turns
    ]
    dealt = _deal(work, devices)
    # As many turns as any cohort of this size could need, so that shapes never change.
    used = min(count, len(kinds))
    most = (count - used) // lanes + used
    slots = np.full((devices, most, lanes), -1)
    kind = np.zeros((devices, most), np.int32)
    for device, numbers in enumerate(dealt):
        for place, number in enumerate(numbers):
            members = turns[number]
            slots[device, place, : len(members)] = members
            kind[device, place] = kind_of[largest[int(kept[members[0]])]]
    return _cohort(
        model,
        extraction,
        (clients, kept, weights),
        slots,
        kind=kind,
        turns=np.array([len(numbers) for numbers in dealt], np.int32),
        kinds=kinds,
        num_batches=-(-int(num_examples.max()) // batch_size),
        devices=devices,
    )


def _cohort(model: Model, extraction: Extraction, own: tuple, slots: np.ndarray, **rest) -> Cohort:
    """Makes the cohort whose lanes hold the clients at the positions `slots`; -1 is empty."""
    clients, kept, weights = own
    taken = slots >= 0
    distinct = np.unique(kept)
    shapes = [extraction.shape(model, int(size)) for size in distinct]
    which = np.searchsorted(distinct, kept)[slots]
    # An empty lane has a client's shape, so that no arithmetic on it is special.
    return Cohort(
        index=np.where(taken, clients[slots], -1).astype(np.int32),
        widths=np.array([shape.width for shape in shapes], np.float32)[which],
        sizes={
            group: np.array([dict(shape.sizes)[group] for shape in shapes], np.int32)[which]
            for group, _ in shapes[0].sizes
        },
        exits=np.array([shape.exits for shape in shapes], np.int32)[which],
        weights=np.where(taken, weights[slots], 0).astype(np.float32),
        steps=np.full(slots.shape, np.iinfo(np.int32).max, np.int32),
        **rest,
    )


def _turns(kind: np.ndarray, batches: np.ndarray, lanes: int) -> list[np.ndarray]:
    """Cuts the clients of each kind, those with the most batches first, into turns."""
    turns = []
    for number in np.unique(kind):
        members = np.flatnonzero(kind == number)
        members = members[np.argsort(-batches[members], kind="stable")]
        turns += [members[start : start + lanes] for start in range(0, len(members), lanes)]
    return turns


def _deal(work: list[float], devices: int) -> list[list[int]]:
    """Gives turns, the largest first, to the device that has the least so far."""
    dealt: list[list[int]] = [[] for _ in range(devices)]
    loads = [(0.0, device) for device in range(devices)]
    for number in sorted(range(len(work)), key=lambda number: -work[number]):
        load, device = heapq.heappop(loads)
        dealt[device].append(number)
        heapq.heappush(loads, (load + work[number], device))
    return dealt


@functools.cache
def _parameters(model: Model, extraction: Extraction, size: int) -> int:
    """Counts the parameters that are computed for a client of a size."""
    shape = extraction.shape(model, size)
    return costs.parameter_count(model, dict(shape.sizes), shape.exits)


@functools.cache
def _grouped(
    model: Model, extraction: Extraction, sizes: tuple[int, ...], counts: tuple[int, ...]
) -> dict[int, int]:
    """Says at which size clients of every size are computed: the end of its group.

    Args:
      model: the supernet.
      extraction: which part of it a client holds.
      sizes: the sizes that occur, rising.
      counts: how often each occurs.

    Returns:
      `{size: size of its kind}`.
    """
    if len(sizes) <= _MOST_EXACT:
        return {size: size for size in sizes}
    cost = np.array([_parameters(model, extraction, size) for size in sizes], np.float64)
    ends = consecutive_groups(cost, np.array(counts), _MOST_EXACT, _EXECUTED_OVER_OWN)
    return {size: sizes[ends[np.searchsorted(ends, i)]] for i, size in enumerate(sizes)}
