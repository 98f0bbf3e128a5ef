"""How the devices of a mesh share the work: trials, cohorts, data and parameters.

Trees of several trials have a leading axis `[E, ...]`. Cohorts, and data of which every device
has its own clients, have an axis of devices after it. One `shard_map` enters the axes `seeds` and
`clients`; the compiler shares the parameters along `model`.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.flatten_util import ravel_pytree
from jax.sharding import NamedSharding, PartitionSpec

from hasa_jax.base import ClientData, PyTree, ServerState
from hasa_jax.execution.layout import Layout
from hasa_jax.execution.mesh import CLIENTS, MODEL, SEEDS, MeshShape, mesh_of
from hasa_jax.supernet.types import Model

EACH = PartitionSpec(SEEDS)
"""All devices of a trial have all of it: leaves `[E, ...]`."""

SPREAD = PartitionSpec(SEEDS, CLIENTS)
"""Each device has its part: leaves `[E, P, ...]`."""

SPREAD_ROUNDS = PartitionSpec(SEEDS, None, CLIENTS)
"""Each device has its part of every round: leaves `[E, R, P, ...]`."""


def over_mesh(
    function: Callable[..., PyTree],
    shape: MeshShape,
    specs: Sequence[PyTree],
    out_specs: PyTree,
    *stacked: PyTree,
) -> PyTree:
    """Runs a function of one trial and one device on all of a mesh.

    A device runs its trials one after the other, so conditions inside the function stay
    conditions, and trials never wait for each other.

    Args:
      function: of one trial; it sees its device's part of cohorts and data.
      shape: the mesh.
      specs: where the leaves of every argument are, `EACH` or one of the others.
      out_specs: where the leaves of the results are.
      *stacked: trees of arrays `[E, ...]`.

    Returns:
      The results `[E, ...]`.
    """
    mapped = functools.partial(_one_by_one, function)
    if shape.size == 1:
        return mapped(*stacked)
    mesh = mesh_of(shape)
    # With one device along `model` nothing is left to the compiler.
    entered = {SEEDS, CLIENTS} if shape.model > 1 else set(mesh.axis_names)
    return jax.shard_map(
        mapped,
        mesh=mesh,
        in_specs=tuple(specs),
        out_specs=out_specs,
        axis_names=entered,
        check_vma=False,
    )(*stacked)


def _one_by_one(function: Callable[..., PyTree], *stacked: PyTree) -> PyTree:
    """Maps a function over the trials of one device."""
    if jax.tree.leaves(stacked)[0].shape[0] == 1:
        single = function(*jax.tree.map(lambda x: x[0], stacked))
        return jax.tree.map(lambda x: x[None], single)
    return jax.lax.map(lambda trial: function(*trial), stacked)


def data_spec(data: ClientData) -> PartitionSpec:
    """Returns where the data of some trials are `[E, ...]`; see `own_part`."""
    return SPREAD if data.offsets.ndim == 3 else EACH


def own_part(data: ClientData) -> ClientData:
    """Returns what a device has of one trial's data, inside `over_mesh`.

    Args:
      data: one client list for all devices, offsets `[N + 1]`; or the part of this device, with
        a leading axis of one, offsets `[1, M + 1]`.

    Returns:
      Data of the clients `Slot.local`.
    """
    return data if data.offsets.ndim == 1 else jax.tree.map(lambda x: x[0], data)


def sum_over_devices(tree: PyTree, layout: Layout) -> PyTree:
    """Adds up what the devices that share a cohort have, in one message."""
    if layout.mesh.clients == 1 or not jax.tree.leaves(tree):
        return tree
    if layout.mesh.model > 1:
        # One message would need all parameters in one place.
        return jax.lax.psum(tree, CLIENTS)
    flat, rebuild = ravel_pytree(tree)
    return rebuild(jax.lax.psum(flat, CLIENTS))


def gather_clients(outputs: PyTree, layout: Layout) -> PyTree:
    """Lists what a cohort's clients returned, client by client, the same on every device.

    Args:
      outputs: outputs of this device `[1, V, L, ...]`.
      layout: of the cohort.

    Returns:
      Outputs `[P V L, ...]`; zeros where no turn was taken.
    """
    if layout.mesh.clients > 1:
        outputs = jax.lax.all_gather(outputs, CLIENTS, axis=0, tiled=True)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), outputs)


def everywhere(tree: PyTree, shape: MeshShape) -> PyTree:
    """Gives every device all of some small results, so that each process can read them."""
    if shape.size == 1:
        return tree
    return jax.lax.with_sharding_constraint(tree, NamedSharding(mesh_of(shape), PartitionSpec()))


def state_shardings(
    model: Model, optimizer: optax.GradientTransformation, states: ServerState, shape: MeshShape
) -> ServerState:
    """Returns where the states of some trials are.

    A parameter is shared along `model` by the longest of its axes that has a name, of a unit
    group or of label rows, and that the devices divide. Other parameters are on all devices.

    Args:
      model: supplies the names of the axes.
      optimizer: the server's, whose state has the places of its parameters.
      states: the states, or their shapes `[E, ...]`.
      shape: the mesh.

    Returns:
      A tree of shardings like the states.
    """
    mesh = mesh_of(shape)
    each = NamedSharding(mesh, EACH)

    def of_param(leaf: Any, names: Sequence[str | None]) -> NamedSharding:
        return NamedSharding(mesh, PartitionSpec(SEEDS, *_split(leaf.shape[1:], names, shape)))

    leaves, tree = jax.tree.flatten(states.params)
    names = tree.flatten_up_to(model.axes)
    params = tree.unflatten([of_param(*pair) for pair in zip(leaves, names, strict=True)])
    opt_state = optax.tree_utils.tree_map_params(
        optimizer,
        lambda _, place: place,
        states.opt_state,
        params,
        transform_non_params=lambda _: each,
    )
    return dataclasses.replace(
        states, params=params, opt_state=opt_state, round=cast(Any, each), key=cast(Any, each)
    )


def _split(sizes: Sequence[int], names: Sequence[str | None], shape: MeshShape) -> list[str | None]:
    """Returns the spec of one parameter: the axis that is shared along `model`, if any."""
    fits = [
        (size, -axis)
        for axis, (size, name) in enumerate(zip(sizes, names, strict=True))
        if name is not None and size % shape.model == 0
    ]
    chosen = -max(fits)[1] if fits and shape.model > 1 else None
    return [MODEL if axis == chosen else None for axis in range(len(sizes))]


def put(tree: PyTree, shardings: PyTree) -> PyTree:
    """Places host arrays, or arrays of one device, on a mesh; each process has all of them.

    Args:
      tree: arrays, PRNG keys among them.
      shardings: one for all leaves, or a tree of them.

    Returns:
      The tree, on the devices of all processes.
    """
    if not isinstance(shardings, NamedSharding):
        return jax.tree.map(put, tree, shardings)
    return jax.tree.map(lambda leaf: _put_leaf(leaf, shardings), tree)


def _put_leaf(leaf: Any, sharding: NamedSharding) -> jax.Array:
    """Places one array; a process places only what its devices hold."""
    if sharding.mesh.size == 1:
        return jax.device_put(leaf)
    if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        data = _put_leaf(jax.random.key_data(leaf), sharding)
        return jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf))
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return jax.device_put(leaf, sharding)
    host = np.asarray(leaf)
    return jax.make_array_from_callback(host.shape, sharding, lambda index: host[index])


def place_blocks(
    shape: tuple[int, ...], mesh_shape: MeshShape, block: Callable[[int, int], np.ndarray]
) -> jax.Array:
    """Places an array `[E, P, ...]` of which each process makes only the blocks of its devices.

    Args:
      shape: of the array.
      mesh_shape: the mesh.
      block: `(trial, device along clients) -> [...]`.

    Returns:
      The array.
    """

    def part(index: Any) -> np.ndarray:
        trials, devices = (range(*own.indices(n)) for own, n in zip(index, shape[:2], strict=False))
        if len(trials) == len(devices) == 1:  # Large data are not copied.
            return np.asarray(block(trials[0], devices[0]))[None, None]
        return np.stack([np.stack([block(e, p) for p in devices]) for e in trials])

    if mesh_shape.size == 1:
        return jax.device_put(part((slice(None), slice(None))))
    return jax.make_array_from_callback(shape, NamedSharding(mesh_of(mesh_shape), SPREAD), part)


def placed_shapes(shapes: PyTree, shardings: PyTree) -> PyTree:
    """Returns shapes of the arrays that `put` returns, with their places.

    Args:
      shapes: `jax.ShapeDtypeStruct` leaves.
      shardings: a tree of shardings like them.

    Returns:
      Shapes that compile the same program.
    """
    return jax.tree.map(
        lambda x, where: jax.ShapeDtypeStruct(
            x.shape, x.dtype, sharding=where if where.mesh.size > 1 else None
        ),
        shapes,
        shardings,
    )


def on_host(tree: PyTree) -> PyTree:
    """Returns arrays on the host, gathered from all processes where they are spread."""
    from jax.experimental import multihost_utils

    def fetch(leaf: Any) -> Any:
        if isinstance(leaf, jax.Array) and not (
            leaf.is_fully_addressable or leaf.is_fully_replicated
        ):
            return multihost_utils.process_allgather(leaf, tiled=True)
        return jax.device_get(leaf)

    return jax.tree.map(fetch, tree)
