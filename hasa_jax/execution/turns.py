"""Runs a cohort: every device takes its turns, one after the other, and adds up.

One loop serves every cohort of a run. A turn's kind selects one of the compiled bodies, so
compute follows the sizes of the clients at hand; how many turns there are is data, so empty
ones cost nothing.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, Mesh, PartitionSpec

from hasa_jax.base import Cohort, Kind, PyTree
from hasa_jax.execution.interface import ClientFn, Turn
from hasa_jax.supernet import Subnet

_DEVICES, _LANES = "devices", "lanes"

SubnetFn = Callable[[Cohort, Kind], Subnet]
"""`(one client's slot, kind) -> its subnet`."""


def run_turns(client_fn: ClientFn, subnet: SubnetFn, cohort: Cohort) -> tuple[PyTree, PyTree]:
    """Maps a client function over a cohort.

    Args:
      client_fn: what a client does with its subnet.
      subnet: makes a client's subnet.
      cohort: the clients, dealt out.

    Returns:
      (Sums over clients, outputs `[P, V, L]`; those of empty lanes mean nothing).
    """
    cohort = jax.tree.map(jnp.asarray, cohort)
    devices, _, lanes = cohort.index.shape
    clients = (cohort.index, cohort.widths, cohort.sizes, cohort.exits, cohort.weights)

    def one_client(kind: Kind, over_lanes: Callable, slot: tuple) -> tuple[PyTree, PyTree]:
        index, widths, sizes, exits, weights = slot
        own = dataclasses.replace(
            cohort, index=index, widths=widths, sizes=sizes, exits=exits, weights=weights
        )
        turn = Turn(cohort.num_batches, over_lanes)
        return client_fn(subnet(own, kind), index, weights, turn)

    def together(kind: Kind, slots: tuple) -> tuple[PyTree, PyTree]:
        if lanes == 1:
            single = jax.tree.map(lambda x: x[0], slots)
            summed, stacked = one_client(kind, lambda value: value, single)
            return summed, jax.tree.map(lambda x: x[None], stacked)

        def lane(slot: tuple) -> tuple[PyTree, PyTree]:
            return one_client(kind, lambda value: jax.lax.pmax(value, _LANES), slot)

        summed, stacked = jax.vmap(lane, axis_name=_LANES)(slots)
        return jax.tree.map(lambda x: jnp.sum(x, axis=0), summed), stacked

    bodies = [jax.tree_util.Partial(together, kind) for kind in cohort.kinds]

    def on_device(clients: tuple, kinds: Any, turns: Any) -> tuple[PyTree, PyTree]:
        clients, kinds, turns = jax.tree.map(lambda x: x[0], (clients, kinds, turns))
        first = jax.tree.map(lambda x: x[0], clients)
        summed, stacked = jax.eval_shape(bodies[0], first)
        total = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), summed)
        outputs = jax.tree.map(lambda x: jnp.zeros((len(kinds), *x.shape), x.dtype), stacked)

        def turn(number: jax.Array, carry: tuple[PyTree, PyTree]) -> tuple[PyTree, PyTree]:
            total, outputs = carry
            slots = jax.tree.map(lambda x: x[number], clients)
            summed, stacked = jax.lax.switch(kinds[number], bodies, slots)
            outputs = jax.tree.map(lambda all, one: all.at[number].set(one), outputs, stacked)
            return jax.tree.map(jnp.add, total, summed), outputs

        total, outputs = jax.lax.fori_loop(0, turns, turn, (total, outputs))
        return total, jax.tree.map(lambda x: x[None], outputs)

    if devices == 1:
        return on_device(clients, cohort.kind, cohort.turns)

    def shared(*parts) -> tuple[PyTree, PyTree]:
        total, outputs = on_device(*parts)
        return jax.lax.psum(total, _DEVICES), outputs

    spread, same = PartitionSpec(_DEVICES), PartitionSpec()
    mesh = Mesh(jax.devices()[:devices], (_DEVICES,), axis_types=(AxisType.Auto,))
    return jax.shard_map(
        shared, mesh=mesh, in_specs=(spread,) * 3, out_specs=(same, spread), check_vma=False
    )(clients, cohort.kind, cohort.turns)
