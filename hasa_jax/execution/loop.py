"""The loop of turns: every device takes its turns, one after the other, and adds up.

One loop serves every cohort of a run, in training, evaluation and calibration. A turn's bucket
selects one of the compiled bodies, so compute follows the sizes of the clients at hand. The number
of turns is data, so unused turns cost nothing.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import jax
import jax.numpy as jnp

from hasa_jax.base import PyTree
from hasa_jax.execution.layout import Bucket, Cohort, Slot
from hasa_jax.execution.sharding import sum_over_devices

LANES = "lanes"
"""Name of the axis of clients that run in one `vmap`."""

ClientFn = Callable[[Bucket, str | None, Slot], tuple[PyTree, PyTree]]
"""`(bucket, name of the axis of lanes or None, slot) -> (summed over clients, stacked)`."""


def run_cohort(client_fn: ClientFn, cohort: Cohort) -> tuple[PyTree, PyTree]:
    """Maps a client function over a cohort.

    Args:
      client_fn: what a client does.
      cohort: the clients of this device, leaves `[1, ...]`; see `sharding.over_mesh`.

    Returns:
      Sums over the clients of all devices, and this device's outputs `[1, V, L]`. The outputs of
      empty lanes mean nothing.
    """
    layout = cohort.layout
    bodies = [functools.partial(_run_turn, client_fn, bucket) for bucket in layout.buckets]
    slots, buckets, turns = jax.tree.map(
        lambda x: jnp.asarray(x)[0], (cohort.slots, cohort.bucket, cohort.turns)
    )
    summed, stacked = jax.eval_shape(bodies[0], jax.tree.map(lambda x: x[0], slots))
    total = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), summed)
    outputs = jax.tree.map(lambda x: jnp.zeros((layout.turns, *x.shape), x.dtype), stacked)
    turn = functools.partial(_take_turn, bodies, slots, buckets)
    total, outputs = jax.lax.fori_loop(0, turns, turn, (total, outputs))
    return sum_over_devices(total, layout), jax.tree.map(lambda x: x[None], outputs)


def _take_turn(
    bodies: Sequence[Callable[[Slot], tuple[PyTree, PyTree]]],
    slots: Slot,
    buckets: jax.Array,
    number: jax.Array,
    carry: tuple[PyTree, PyTree],
) -> tuple[PyTree, PyTree]:
    """Adds one turn to the sums, and puts its outputs in their place."""
    total, outputs = carry
    lanes = jax.tree.map(lambda x: x[number], slots)
    summed, stacked = jax.lax.switch(buckets[number], bodies, lanes)
    outputs = jax.tree.map(lambda all, one: all.at[number].set(one), outputs, stacked)
    return jax.tree.map(jnp.add, total, summed), outputs


def _run_turn(client_fn: ClientFn, bucket: Bucket, lanes: Slot) -> tuple[PyTree, PyTree]:
    """Runs the clients of one turn, in one `vmap` if there are several."""
    if lanes.client.shape[0] == 1:
        summed, stacked = client_fn(bucket, None, jax.tree.map(lambda x: x[0], lanes))
        return summed, jax.tree.map(lambda x: x[None], stacked)
    each = functools.partial(client_fn, bucket, LANES)
    summed, stacked = jax.vmap(each, axis_name=LANES)(lanes)
    return jax.tree.map(lambda x: jnp.sum(x, axis=0), summed), stacked
