"""Who runs where, and at which compiled size: everything that decides the shape of a program.

A device takes its turns one after the other. The lanes of a turn run in one `vmap`, at one bucket.
A layout is made once a run, on the host. It places a cohort once a round and touches no program:
buckets and array shapes are those of the run, so cohorts change and nothing is compiled again.
"""

from __future__ import annotations

import dataclasses
import functools
import heapq
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import flax.struct
import numpy as np

from hasa_jax.base import UserError
from hasa_jax.execution.mesh import MeshShape
from hasa_jax.supernet import costs
from hasa_jax.supernet.buckets import consecutive_groups
from hasa_jax.supernet.types import Extraction, Model, Shape

_MOST_BUCKETS = 16
"""Most buckets; each is code to compile, and to keep in memory."""


Entry = Any
"""An array on the host or on a device, a traced one, or the shape of one."""


class Bucket(NamedTuple):
    """A size for which a body is compiled; static.

    Attributes:
      shape: what its clients are computed at; at least as large as what they hold.
      exact: whether they hold all of it, so that nothing needs masking.
    """

    shape: Shape
    exact: bool


@flax.struct.dataclass
class Slot:
    """One client's place in a cohort; every entry is a scalar, or `[P, V, L]` for all places.

    Attributes:
      entry: position in the list of clients that was placed, int32; -1 marks an empty lane.
      client: client id, int32; -1 in an empty lane.
      local: position of the client in the data that its device has, int32.
      width: fraction of units kept.
      kept: units kept in every group of the extraction, `{group: int32}`.
      exits: exits of the client's subnet, int32.
      weight: aggregation weight `a`; a client of weight 0 is inert.
      steps: local steps that the client has time for, int32.
      hostile: whether the client corrupts its updates, bool.
    """

    entry: Entry
    client: Entry
    local: Entry
    width: Entry
    kept: Mapping[str, Entry]
    exits: Entry
    weight: Entry
    steps: Entry
    hostile: Entry


class Homes(NamedTuple):
    """Which devices have the data of a client, and so run it.

    Attributes:
      of: number of every client's group of devices `[N]`.
      groups: how many; all have as many consecutive devices along `clients`.
    """

    of: np.ndarray
    groups: int


@dataclasses.dataclass(frozen=True)
class Layout:
    """The shape of a program over cohorts of one number of clients; static and hashable.

    Attributes:
      model: the supernet.
      extraction: which part of it a client holds.
      sizes: sizes that cohorts may have, rising; empty if every client runs at full size.
      bucket_of: position in `buckets` of each of them.
      buckets: what is compiled, the largest first.
      num_clients: clients `C` of a cohort.
      lanes: clients `L` of a turn.
      turns: most turns `V` of a device.
      mesh: devices of the run; those along `clients`, `P`, share the cohort.
      num_batches: batches that the largest client of all needs for one pass.
      batch_size: examples in a batch.
    """

    model: Model
    extraction: Extraction
    sizes: tuple[int, ...]
    bucket_of: tuple[int, ...]
    buckets: tuple[Bucket, ...]
    num_clients: int
    lanes: int
    turns: int
    mesh: MeshShape
    num_batches: int
    batch_size: int

    @property
    def devices(self) -> int:
        """Devices `P` that share a cohort."""
        return self.mesh.clients


@flax.struct.dataclass
class Cohort:
    """The clients of a round in their slots.

    Attributes:
      slots: the clients `[P, V, L]`.
      bucket: of every turn, as a position in `layout.buckets` `[P, V]`, int32.
      turns: turns that each device takes `[P]`, int32; they come first.
      layout: the layout that placed them (static).
    """

    slots: Slot
    bucket: Entry
    turns: Entry
    layout: Layout = flax.struct.field(pytree_node=False)


def make_layout(
    model: Model,
    extraction: Extraction,
    *,
    mode: str,
    sizes_in_run: np.ndarray,
    num_clients: int,
    most_examples: int,
    batch_size: int,
    lanes: int | None,
    mesh: MeshShape,
    bucket_share: float,
    kinds: int = 1,
) -> Layout:
    """Decides what is compiled, and how many clients run at once.

    Args:
      model: the supernet.
      extraction: which part of it a client holds.
      mode: `masked` or `sliced`.
      sizes_in_run: sizes that clients have in this run, with repeats.
      num_clients: clients of a cohort.
      most_examples: examples of the largest client of all.
      batch_size: examples in a batch.
      lanes: clients of a turn; None to share the cohort out evenly over buckets and devices.
      mesh: devices of the run.
      bucket_share: share of the supernet's MACs that a further bucket must save for a mean client.
      kinds: entries of one client in a cohort. Lanes do not grow with them, so memory does not.

    Returns:
      The layout.
    """
    if mode == "masked":
        sizes, bucket_of = (), ()
        buckets = (Bucket(extraction.shape(model, max(model.groups.values())), exact=False),)
    else:
        values, counts = np.unique(sizes_in_run, return_counts=True)
        sizes = tuple(values.tolist())
        ends = _bucket_sizes(model, extraction, sizes, tuple(counts.tolist()), bucket_share)
        distinct = sorted(set(ends), reverse=True)
        shared = {end for size, end in zip(sizes, ends, strict=True) if size != end}
        buckets = tuple(Bucket(extraction.shape(model, end), end not in shared) for end in distinct)
        bucket_of = tuple(distinct.index(end) for end in ends)
    lanes = min(num_clients, lanes or -(-num_clients // (len(buckets) * mesh.clients * kinds)))
    # As many turns as any cohort of this size could need, so that shapes never change.
    used = min(num_clients, len(buckets))
    return Layout(
        model=model,
        extraction=extraction,
        sizes=sizes,
        bucket_of=bucket_of,
        buckets=buckets,
        num_clients=num_clients,
        lanes=lanes,
        turns=(num_clients - used) // lanes + used,
        mesh=mesh,
        num_batches=-(-most_examples // batch_size),
        batch_size=batch_size,
    )


def place(
    layout: Layout,
    clients: np.ndarray,
    sizes: np.ndarray,
    weights: np.ndarray,
    num_examples: np.ndarray,
    homes: Homes | None = None,
) -> Cohort:
    """Places a cohort: turns of one bucket, about the same work on each device.

    Args:
      layout: of this run.
      clients: client ids `[C]`; evaluations list a client once for each of its sizes.
      sizes: the size of each of them `[C]`.
      weights: their aggregation weights `[C]`.
      num_examples: examples of every client of the population `[N]`.
      homes: which devices may run a client; any if None.

    Returns:
      The cohort, whose clients are local by their ids.

    Raises:
      UserError: if a client has a size that the layout was not made for.
    """
    bucket_of_client = _buckets_of(layout, sizes)
    batches = -(-num_examples[clients] // layout.batch_size)
    parameters = [_parameters(layout.model, bucket.shape) for bucket in layout.buckets]
    places = np.full((layout.devices, layout.turns, layout.lanes), -1)
    bucket = np.zeros((layout.devices, layout.turns), np.int32)
    taken = np.zeros(layout.devices, np.int32)
    for first, devices, members in _shares(layout, clients, homes):
        turns = _cut_into_turns(members, bucket_of_client, batches, layout.lanes)
        work = [parameters[bucket_of_client[t[0]]] * float(batches[t].max()) for t in turns]
        for device, numbers in enumerate(_balance(work, devices), start=first):
            taken[device] = len(numbers)
            for turn, number in enumerate(numbers):
                own = turns[number]
                places[device, turn, : len(own)] = own
                bucket[device, turn] = bucket_of_client[own[0]]
    return Cohort(
        slots=_slots(layout, clients, sizes, weights, places),
        bucket=bucket,
        turns=taken,
        layout=layout,
    )


def _shares(
    layout: Layout, clients: np.ndarray, homes: Homes | None
) -> Iterator[tuple[int, int, np.ndarray]]:
    """Yields groups of devices, first and number, and the positions of the clients they run."""
    if homes is None:
        yield 0, layout.devices, np.arange(len(clients))
        return
    devices, own = layout.devices // homes.groups, homes.of[clients]
    for number in range(homes.groups):
        yield number * devices, devices, np.flatnonzero(own == number)


def _buckets_of(layout: Layout, sizes: np.ndarray) -> np.ndarray:
    """Returns the bucket of each size `[C]`."""
    if not layout.sizes:
        return np.zeros(len(sizes), np.int64)
    if not np.isin(sizes, layout.sizes).all():
        missing = np.setdiff1d(sizes, layout.sizes).tolist()
        raise UserError(
            f"clients have sizes {missing}, which `sizes_in_run` does not hold: it needs every "
            "size of the run and of its evaluations"
        )
    return np.asarray(layout.bucket_of)[np.searchsorted(layout.sizes, sizes)]


def _slots(
    layout: Layout,
    clients: np.ndarray,
    sizes: np.ndarray,
    weights: np.ndarray,
    places: np.ndarray,
) -> Slot:
    """Fills the slots with the clients at the positions `places`; -1 is empty."""
    taken = places >= 0
    distinct = np.unique(sizes)
    shapes = [layout.extraction.shape(layout.model, int(size)) for size in distinct]
    which = np.searchsorted(distinct, sizes)[places]
    # An empty lane has a client's shape, so that no arithmetic on it is special.
    return Slot(
        entry=places.astype(np.int32),
        client=np.where(taken, clients[places], -1).astype(np.int32),
        local=np.where(taken, clients[places], 0).astype(np.int32),
        width=np.array([shape.width for shape in shapes], np.float32)[which],
        kept={
            group: np.array([dict(shape.kept)[group] for shape in shapes], np.int32)[which]
            for group, _ in shapes[0].kept
        },
        exits=np.array([shape.exits for shape in shapes], np.int32)[which],
        weight=np.where(taken, weights[places], 0).astype(np.float32),
        steps=np.full(places.shape, np.iinfo(np.int32).max, np.int32),
        hostile=np.zeros(places.shape, bool),
    )


def _cut_into_turns(
    members: np.ndarray, buckets: np.ndarray, batches: np.ndarray, lanes: int
) -> list[np.ndarray]:
    """Cuts the members of each bucket, those with the most batches first, into turns."""
    turns = []
    for number in np.unique(buckets[members]):
        own = members[buckets[members] == number]
        own = own[np.argsort(-batches[own], kind="stable")]
        turns += [own[start : start + lanes] for start in range(0, len(own), lanes)]
    return turns


def _balance(work: list[float], devices: int) -> list[list[int]]:
    """Gives turns, the largest first, to the device that has the least work so far."""
    assigned: list[list[int]] = [[] for _ in range(devices)]
    loads = [(0.0, device) for device in range(devices)]
    for number in sorted(range(len(work)), key=lambda number: -work[number]):
        load, device = heapq.heappop(loads)
        assigned[device].append(number)
        heapq.heappush(loads, (load + work[number], device))
    return assigned


@functools.cache
def _parameters(model: Model, shape: Shape) -> int:
    """Counts the parameters that are computed for a client of a shape."""
    return costs.parameter_count(model, dict(shape.kept), shape.exits)


def sizes_of_buckets(
    model: Model, extraction: Extraction, sizes: np.ndarray, bucket_share: float
) -> np.ndarray:
    """Returns the size at which each of some clients is computed, if they are all of a run.

    Args:
      model: the supernet.
      extraction: which part of it a client holds.
      sizes: the size of each client, in any shape.
      bucket_share: what a bucket costs, as a share of the supernet's MACs.

    Returns:
      Sizes of the same shape: the largest of each one's bucket.
    """
    values, which, counts = np.unique(sizes, return_inverse=True, return_counts=True)
    distinct, each = tuple(values.tolist()), tuple(counts.tolist())
    ends = np.array(_bucket_sizes(model, extraction, distinct, each, bucket_share))
    return ends[which].reshape(sizes.shape)


@functools.cache
def _bucket_sizes(
    model: Model,
    extraction: Extraction,
    sizes: tuple[int, ...],
    counts: tuple[int, ...],
    bucket_share: float,
) -> tuple[int, ...]:
    """Returns the size at which clients of each size are computed: the largest of its bucket.

    Args:
      model: the supernet.
      extraction: which part of it a client holds.
      sizes: the sizes that occur, rising.
      counts: how often each occurs.
      bucket_share: what a bucket costs, as a share of the supernet's MACs.

    Returns:
      One size for each of `sizes`.
    """
    cost = costs.cost_table(model, extraction, "macs")[list(sizes)]
    shares = np.array(counts) / sum(counts)
    ends = consecutive_groups(cost, shares, bucket_share, _MOST_BUCKETS)
    return tuple(sizes[ends[np.searchsorted(ends, i)]] for i in range(len(sizes)))
