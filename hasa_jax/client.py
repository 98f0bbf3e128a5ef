"""One client's local work: its batches and its optax steps, in one `lax.scan`.

Everything here is written for one client; execution maps it over a cohort.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import optax

from hasa_jax import keys
from hasa_jax.base import ClientData, ClientMetrics, Params, Subnet
from hasa_jax.losses import score_batch


class BatchPlan(NamedTuple):
    """Which rows of the data make up each local batch.

    Attributes:
      rows: row numbers in the flat data `[S, B]`; padding repeats a row of the client.
      valid: whether the entry is an example `[S, B]`, bool.
    """

    rows: jax.Array
    valid: jax.Array


def sequential_batches(
    data: ClientData, client: jax.Array, num_batches: int, batch_size: int
) -> BatchPlan:
    """Plans one pass over a client's examples in storage order.

    Args:
      data: examples of all clients.
      client: client id, scalar.
      num_batches: batches `S`; enough for the client's examples.
      batch_size: examples in a batch `B`.

    Returns:
      The plan; entries beyond the client's examples are not valid.
    """
    offsets = jnp.asarray(data.offsets)
    start, num_examples = offsets[client], offsets[client + 1] - offsets[client]
    position = jnp.arange(num_batches * batch_size).reshape(num_batches, batch_size)
    valid = position < num_examples
    return BatchPlan(start + jnp.where(valid, position, 0), valid)


def shuffled_batches(
    key: jax.Array,
    data: ClientData,
    client: jax.Array,
    num_batches: int,
    batch_size: int,
    num_epochs: int,
) -> BatchPlan:
    """Plans `num_epochs` passes, each in an order of its own; every example is used once a pass.

    Each example draws its place from a key of its own, so the order does not depend on how
    far the grid is padded.

    Args:
      key: this client's key of this round; it is consumed.
      data: examples of all clients.
      client: client id, scalar.
      num_batches: batches of one pass; enough for the client's examples.
      batch_size: examples in a batch `B`.
      num_epochs: passes.

    Returns:
      The plan `[num_epochs * num_batches, B]`; the last batch of a pass may be partial.
    """
    plan = sequential_batches(data, client, num_batches, batch_size)
    positions = jnp.arange(num_batches * batch_size)
    flat_valid = plan.valid.reshape(-1)

    def one_pass(epoch: jax.Array) -> jax.Array:
        epoch_key = jax.random.fold_in(key, epoch)
        draws = jax.vmap(lambda p: jax.random.bits(jax.random.fold_in(epoch_key, p)))(positions)
        # Padding sorts last: draws keep 31 bits, padding takes the largest of 32.
        draws = jnp.where(flat_valid, draws >> 1, jnp.uint32(0xFFFFFFFF))
        return plan.rows.reshape(-1)[jnp.argsort(draws, stable=True)]

    rows = jax.vmap(one_pass)(jnp.arange(num_epochs))
    return BatchPlan(
        rows.reshape(num_epochs * num_batches, batch_size), jnp.tile(plan.valid, (num_epochs, 1))
    )


def local_training(
    subnet: Subnet, data: ClientData, plan: BatchPlan, optimizer: optax.GradientTransformation
) -> tuple[Params, ClientMetrics]:
    """Trains one client's subnet on its batches, from a fresh optimizer state.

    A batch without a target (padding of the step grid) changes neither the parameters nor
    the optimizer's state.

    Args:
      subnet: the client's subnet, its params being the broadcast ones.
      data: training examples of all clients.
      plan: the client's batches.
      optimizer: local optax transformation.

    Returns:
      The update `theta_i - theta` over the subnet's params, and metrics summed over the steps.
    """

    def loss_fn(params: Params, rows: jax.Array, valid: jax.Array):
        logits = subnet.apply(params, jnp.asarray(data.inputs)[rows], train=True)
        sums = score_batch(logits, jnp.asarray(data.targets)[rows], valid)
        return sums.loss / jnp.maximum(sums.loss_count, 1), sums

    def step(carry, batch):
        params, opt_state = carry
        grads, sums = jax.grad(loss_fn, has_aux=True)(params, *batch)
        steps, new_opt_state = optimizer.update(grads, opt_state, params)
        new_carry = (optax.apply_updates(params, steps), new_opt_state)
        took_part = sums.loss_count > 0
        carry = jax.tree.map(lambda new, old: jnp.where(took_part, new, old), new_carry, carry)
        return carry, sums

    start = (subnet.params, optimizer.init(subnet.params))
    (params, _), sums = jax.lax.scan(step, start, plan)
    update = jax.tree.map(jnp.subtract, params, subnet.params)
    return update, jax.tree.map(lambda x: jnp.sum(x, axis=0), sums)


def evaluate(subnet: Subnet, data: ClientData, plan: BatchPlan) -> ClientMetrics:
    """Sums one client's metrics over its examples.

    Args:
      subnet: the client's subnet.
      data: examples of all clients.
      plan: the client's batches.

    Returns:
      Sums over the client's examples.
    """

    def step(carry, batch):
        rows, valid = batch
        logits = subnet.apply(subnet.params, jnp.asarray(data.inputs)[rows], train=False)
        return carry, score_batch(logits, jnp.asarray(data.targets)[rows], valid)

    _, sums = jax.lax.scan(step, None, plan)
    return jax.tree.map(lambda x: jnp.sum(x, axis=0), sums)


def batch_key(key: jax.Array, round: jax.Array, client: jax.Array) -> jax.Array:
    """Returns the key that orders a client's examples in a round."""
    return keys.address(key, keys.Stream.BATCHES, round, client)
