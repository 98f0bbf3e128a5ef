"""Runs a cohort: every device takes its turns, one after the other, and adds up.

One loop serves every cohort of a run. A turn's kind selects one of the compiled bodies, so
compute follows the sizes of the clients at hand; how many turns there are is data, so empty
ones cost nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, PartitionSpec

from hasa_jax.base import Cohort, Kind, PyTree
from hasa_jax.execution.interface import ClientFn, Turn
from hasa_jax.supernet.types import Subnet

DEVICES, _LANES = "devices", "lanes"

_OWN = ("index", "widths", "sizes", "exits", "weights", "steps")
"""Fields of a cohort that say something of each client."""

SubnetFn = Callable[[Cohort, Kind], Subnet]
"""`(one client's slot, kind) -> its subnet`."""


def device_mesh(devices: int) -> Mesh:
    """Returns the first devices as a mesh of one axis, `DEVICES`."""
    return Mesh(jax.devices()[:devices], (DEVICES,), axis_types=(AxisType.Auto,))


def run_turns(client_fn: ClientFn, subnet: SubnetFn, cohort: Cohort) -> tuple[PyTree, PyTree]:
    """Maps a client function over a cohort.

    Args:
      client_fn: what a client does with its subnet.
      subnet: makes a client's subnet.
      cohort: the clients of this device, leaves `[1, V, L]`; see `on_devices`.

    Returns:
      (Sums over clients of all devices, this one's outputs `[1, V, L]`; those of empty lanes
      mean nothing).
    """
    cohort = jax.tree.map(jnp.asarray, cohort)
    lanes = cohort.index.shape[-1]
    clients = {name: getattr(cohort, name) for name in _OWN}

    def one_client(kind: Kind, over_lanes: Callable, slot: dict) -> tuple[PyTree, PyTree]:
        own = dataclasses.replace(cohort, **slot)
        turn = Turn(cohort.num_batches, jnp.asarray(own.steps), over_lanes)
        return client_fn(subnet(own, kind), jnp.asarray(own.index), jnp.asarray(own.weights), turn)

    def together(kind: Kind, slots: dict) -> tuple[PyTree, PyTree]:
        if lanes == 1:
            single = jax.tree.map(lambda x: x[0], slots)
            summed, stacked = one_client(kind, lambda value: value, single)
            return summed, jax.tree.map(lambda x: x[None], stacked)

        def lane(slot: dict) -> tuple[PyTree, PyTree]:
            return one_client(kind, lambda value: jax.lax.pmax(value, _LANES), slot)

        summed, stacked = jax.vmap(lane, axis_name=_LANES)(slots)
        return jax.tree.map(lambda x: jnp.sum(x, axis=0), summed), stacked

    bodies = [jax.tree_util.Partial(together, kind) for kind in cohort.kinds]

    own, kinds, turns = jax.tree.map(lambda x: x[0], (clients, cohort.kind, cohort.turns))
    summed, stacked = jax.eval_shape(bodies[0], jax.tree.map(lambda x: x[0], own))
    total = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), summed)
    outputs = jax.tree.map(lambda x: jnp.zeros((len(kinds), *x.shape), x.dtype), stacked)

    def turn(number: jax.Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
        total, outputs = carry
        slots = jax.tree.map(lambda x: x[number], own)
        summed, stacked = jax.lax.switch(kinds[number], bodies, slots)
        outputs = jax.tree.map(lambda all, one: all.at[number].set(one), outputs, stacked)
        return jax.tree.map(jnp.add, total, summed), outputs

    total, outputs = jax.lax.fori_loop(0, turns, turn, (total, outputs))
    if cohort.devices > 1:
        total = jax.lax.psum(total, DEVICES)
    return total, jax.tree.map(lambda x: x[None], outputs)


def of_all_devices(outputs: PyTree, cohort: Cohort) -> PyTree:
    """Lists what `run_turns` stacked on every device, client by client.

    Args:
      outputs: stacked outputs of this device `[1, V, L, ...]`.
      cohort: whose they are.

    Returns:
      The same on every device: outputs `[P V L, ...]`; zeros where no turn was taken.
    """
    if cohort.devices > 1:
        outputs = jax.lax.all_gather(outputs, DEVICES, axis=0, tiled=True)
    return jax.tree.map(lambda x: x.reshape(-1, *x.shape[3:]), outputs)


def on_devices(
    function: Callable[..., tuple[PyTree, PyTree]], cohort: Cohort, *same: PyTree, axis: int = 0
) -> tuple[PyTree, PyTree]:
    """Calls a function on each device that shares a cohort, with that device's turns.

    Args:
      function: `(cohort, *same) -> (equal on all devices, per device)`; it may call `run_turns`.
      cohort: the clients, dealt out; the axis of devices is the first, or
      *same: what every device gets whole.
      axis: after `axis` others, such as rounds.

    Returns:
      What the function returns, outputs of the devices joined along that axis.
    """
    if cohort.devices == 1:
        return function(cohort, *same)
    whole, spread = PartitionSpec(), PartitionSpec(*[None] * axis, DEVICES)
    return jax.shard_map(
        function,
        mesh=device_mesh(cohort.devices),
        in_specs=(spread, *[whole] * len(same)),
        out_specs=(whole, spread),
        check_vma=False,
    )(cohort, *same)
