"""Several seeds in one program: a leading axis of runs, dealt out to devices."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.sharding import NamedSharding, PartitionSpec

from hasa_jax.allocation import Allocation
from hasa_jax.base import ClientData, FederatedDataset, PyTree, UserError
from hasa_jax.execution.loop import DEVICES, device_mesh


class Trial(NamedTuple):
    """One run: what differs between seeds.

    Attributes:
      dataset: train, validation and test examples of every client.
      allocation: every client's width.
      key: root key of the run; it is not consumed.
      labels: columns to put in front of every row.
    """

    dataset: FederatedDataset
    allocation: Allocation
    key: jax.Array
    labels: Mapping[str, Any] = {}


def over_seeds(function: Callable[..., PyTree], devices: int, *stacked: PyTree) -> PyTree:
    """Maps a function over the leading axis of its arguments, `[E, ...]`.

    Each device runs its share of the entries one after the other, so conditions inside the
    function stay conditions, and the entries never wait for each other.

    Args:
      function: of one entry.
      devices: how many share the entries; so many that they come out even are used.
      *stacked: trees of arrays `[E, ...]`.

    Returns:
      The results, stacked `[E, ...]`.
    """
    count = jax.tree.leaves(stacked)[0].shape[0]
    if count == 1:
        alone = function(*jax.tree.map(lambda x: x[0], stacked))
        return jax.tree.map(lambda x: x[None], alone)

    def share(*entries: PyTree) -> PyTree:
        return jax.lax.map(lambda entry: function(*entry), entries)

    used = sharing(devices, count)
    if used == 1:
        return share(*stacked)
    spread = PartitionSpec(DEVICES)
    return jax.shard_map(
        share, mesh=device_mesh(used), in_specs=spread, out_specs=spread, check_vma=False
    )(*stacked)


def sharing(devices: int, count: int) -> int:
    """Returns how many of some devices can share so many entries evenly."""
    return max(number for number in range(1, devices + 1) if count % number == 0)


def put(tree: PyTree, devices: int, count: int) -> PyTree:
    """Places trees `[E, ...]` where a program of some devices leaves its results.

    Args:
      tree: arrays of some seeds.
      devices: devices of the run.
      count: seeds `E`; one seed is shared by all the devices, several are dealt out.

    Returns:
      The tree, on the devices.
    """
    if count == 1:
        mesh, spec = device_mesh(devices), PartitionSpec()
    else:
        mesh, spec = device_mesh(sharing(devices, count)), PartitionSpec(DEVICES)
    return jax.device_put(tree, NamedSharding(mesh, spec) if mesh.size > 1 else None)


def stack_data(parts: Sequence[ClientData]) -> ClientData:
    """Stacks data of one shape; those with fewer examples are padded with rows of nobody.

    Args:
      parts: one split of every seed; clients and example shapes agree.

    Returns:
      Data with leaves `[E, ...]`.

    Raises:
      UserError: if they do not fit together.
    """
    if len({(part.num_clients, part.num_classes, part.inputs.shape[1:]) for part in parts}) > 1:
        raise UserError(
            "seeds that run together must have the same number of clients and classes and the "
            "same shape of an example"
        )
    if len(parts) == 1:
        return jax.tree.map(lambda x: np.asarray(x)[None], parts[0])
    most = max(len(part.inputs) for part in parts)

    def padded(rows: np.ndarray) -> np.ndarray:
        rows = np.asarray(rows)
        missing = [(0, most - len(rows))] + [(0, 0)] * (rows.ndim - 1)
        return np.pad(rows, missing)

    return ClientData(
        inputs=np.stack([padded(np.asarray(part.inputs)) for part in parts]),
        targets=np.stack([padded(np.asarray(part.targets)) for part in parts]),
        offsets=np.stack([np.asarray(part.offsets) for part in parts]),
        num_classes=parts[0].num_classes,
    )
