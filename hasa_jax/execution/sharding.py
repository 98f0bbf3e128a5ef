"""How devices share the work: a cohort of one trial, or several trials.

Only this module knows meshes. Cohorts have an axis of devices; trials that share a program have a
leading axis `[E, ...]`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from hasa_jax.base import PyTree
from hasa_jax.execution.layout import Layout

_DEVICES = "devices"


def device_mesh(devices: int) -> Mesh:
    """Returns the first devices as a mesh of one axis."""
    return Mesh(jax.devices()[:devices], (_DEVICES,), axis_types=(AxisType.Auto,))


def share_cohort(
    function: Callable[..., tuple[PyTree, PyTree]], layout: Layout, *, axis: int, same: int
) -> Callable[..., tuple[PyTree, PyTree]]:
    """Makes a function run on each device that shares a cohort, with that device's turns.

    Args:
      function: `(cohort, *same) -> (equal on all devices, per device)`.
      layout: of the cohort.
      axis: where the cohort's axis of devices is: 0, or 1 after an axis of rounds.
      same: how many more arguments there are; every device gets all of them.

    Returns:
      The function; outputs of the devices are joined along the axis.
    """
    if layout.devices == 1:
        return function
    everything, spread = PartitionSpec(), PartitionSpec(*[None] * axis, _DEVICES)
    return jax.shard_map(
        function,
        mesh=device_mesh(layout.devices),
        in_specs=(spread, *[everything] * same),
        out_specs=(everything, spread),
        check_vma=False,
    )


def sum_over_devices(tree: PyTree, layout: Layout) -> PyTree:
    """Adds up what the devices that share a cohort have."""
    return jax.lax.psum(tree, _DEVICES) if layout.devices > 1 else tree


def gather_clients(outputs: PyTree, layout: Layout) -> PyTree:
    """Lists what a cohort's clients returned, client by client, the same on every device.

    Args:
      outputs: outputs of this device `[1, V, L, ...]`.
      layout: of the cohort.

    Returns:
      Outputs `[P V L, ...]`; zeros where no turn was taken.
    """
    if layout.devices > 1:
        outputs = jax.lax.all_gather(outputs, _DEVICES, axis=0, tiled=True)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), outputs)


def over_trials(function: Callable[..., PyTree], devices: int, *stacked: PyTree) -> PyTree:
    """Maps a function over the leading axis of its arguments, `[E, ...]`.

    Each device runs its share of the trials one after the other, so conditions inside the
    function stay conditions, and the trials never wait for each other.

    Args:
      function: of one trial.
      devices: devices of the run; the largest number of them that divides the trials is used.
      *stacked: trees of arrays `[E, ...]`.

    Returns:
      The results, stacked `[E, ...]`.
    """
    count = jax.tree.leaves(stacked)[0].shape[0]
    if count == 1:
        single = function(*jax.tree.map(lambda x: x[0], stacked))
        return jax.tree.map(lambda x: x[None], single)
    one_by_one = functools.partial(_one_by_one, function)
    used = devices_for_trials(devices, count)
    if used == 1:
        return one_by_one(*stacked)
    spread = PartitionSpec(_DEVICES)
    return jax.shard_map(
        one_by_one, mesh=device_mesh(used), in_specs=spread, out_specs=spread, check_vma=False
    )(*stacked)


def _one_by_one(function: Callable[..., PyTree], *stacked: PyTree) -> PyTree:
    """Maps a function over the trials of one device."""
    return jax.lax.map(lambda trial: function(*trial), stacked)


def devices_for_trials(devices: int, count: int) -> int:
    """Returns the largest number of devices that shares so many trials evenly."""
    return max(number for number in range(1, devices + 1) if count % number == 0)


def put(tree: PyTree, devices: int, count: int) -> PyTree:
    """Places trees `[E, ...]` where a program of some devices leaves its results.

    Args:
      tree: arrays of some trials.
      devices: devices of the run.
      count: trials `E`; all devices share one trial, several trials are spread over the devices.

    Returns:
      The tree, on the devices.
    """
    return jax.device_put(tree, _placement(devices, count))


def placed_shapes(shapes: PyTree, devices: int, count: int) -> PyTree:
    """Returns shapes of the arrays that `put` returns, with their places.

    Args:
      shapes: `jax.ShapeDtypeStruct` leaves `[E, ...]`.
      devices: devices of the run.
      count: trials `E`.

    Returns:
      Shapes that compile the same program.
    """
    where = _placement(devices, count)
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct(x.shape, x.dtype, sharding=where), shapes)


def _placement(devices: int, count: int) -> NamedSharding | None:
    """Returns where trees of some trials are; None on a single device."""
    if count == 1:
        mesh, spec = device_mesh(devices), PartitionSpec()
    else:
        mesh, spec = device_mesh(devices_for_trials(devices, count)), PartitionSpec(_DEVICES)
    return NamedSharding(mesh, spec) if mesh.size > 1 else None
