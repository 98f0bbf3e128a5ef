"""Which examples make up each batch: shuffled to train, in order to test, mixed to calibrate."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax import keys
from hasa_jax.base import IGNORED, ClientData

_CALIBRATION_BATCH = 256
"""Most examples in a batch of the calibration pass: large, so that batch moments are steady."""


_VECTOR = 16
"""Numbers of positions are multiples of this."""


class BatchPlan(NamedTuple):
    """Which rows of the data make up each local batch.

    Attributes:
      rows: row numbers in the flat data `[S, B]`; padding repeats a row of the client.
      valid: whether the entry is an example `[S, B]`, bool.
      used: batches that hold examples, int32 scalar; they come first.
    """

    rows: jax.Array
    valid: jax.Array
    used: jax.Array


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
    return BatchPlan(start + jnp.where(valid, position, 0), valid, -(-num_examples // batch_size))


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

    rows = jax.vmap(one_pass)(jnp.arange(num_epochs)).reshape(-1, batch_size)
    # The batches of all passes come first, the padding of all passes last.
    step = jnp.arange(num_epochs * num_batches)
    per_pass = jnp.maximum(plan.used, 1)
    source = step // per_pass * num_batches + step % per_pass
    inside = step < num_epochs * plan.used
    source = jnp.where(inside, source, 0)
    valid = plan.valid[source % num_batches] & inside[:, None]
    return BatchPlan(rows[source], valid, num_epochs * plan.used)


def mixed_batches(key: jax.Array, train: ClientData) -> BatchPlan:
    """Plans a pass over all clients' training examples, mixed, in large batches.

    Args:
      key: root key of the run; it is not consumed.
      train: training examples of all clients.

    Returns:
      The plan; the same in every round.
    """
    total = train.inputs.shape[0]
    num_batches = -(-total // _CALIBRATION_BATCH)
    # Batches of even size: moments are averaged over batches, and a tiny one would spoil them.
    batch_size = -(-total // num_batches)
    order = jax.random.permutation(keys.address(key, keys.Stream.CALIBRATION), total)
    # Dealt out in turns, so that sizes differ by one at most.
    position = jnp.arange(num_batches)[:, None] + num_batches * jnp.arange(batch_size)[None, :]
    valid = position < total
    return BatchPlan(order[jnp.where(valid, position, 0)], valid, jnp.int32(num_batches))


def batch_key(key: jax.Array, round: jax.Array, client: jax.Array) -> jax.Array:
    """Returns the key that orders a client's examples in a round."""
    return keys.address(key, keys.Stream.BATCHES, round, client)


def usual_positions(data: ClientData, batch_size: int) -> tuple[int, ...]:
    """Returns how many targets batches of texts usually hold, in two steps.

    A client's batch of `B` examples holds about `B m` targets, give or take `sqrt(B) s`, for
    mean `m` and deviation `s` over its examples. The steps are the client-weighted typical batch,
    and the largest client's mean with three deviations, both rounded up to whole vectors.

    Args:
      data: training examples of all clients.
      batch_size: examples in a batch.

    Returns:
      Rising numbers below `B T`; empty if targets are no texts, or have no padding.
    """
    targets = np.asarray(data.targets)
    if targets.ndim != 2 or not len(targets):
        return ()
    lengths = (targets != IGNORED).sum(axis=1)
    own = [part for part in np.split(lengths, np.asarray(data.offsets)[1:-1]) if len(part)]
    means, deviations = (np.array([f(part) for part in own]) for f in (np.mean, np.std))
    spread = np.sqrt(batch_size) * deviations
    usual = np.average(batch_size * means + spread, weights=[len(part) for part in own])
    most = np.max(batch_size * means + 3 * spread)
    rounded = {int(-(-number // _VECTOR) * _VECTOR) for number in (usual, most)}
    return tuple(sorted(number for number in rounded if number < batch_size * targets.shape[1]))


def at_targets(
    function: Callable[[jax.Array | None, jax.Array, jax.Array], Any],
    targets: jax.Array,
    valid: jax.Array,
    positions: tuple[int, ...],
    over_lanes: Callable[[jax.Array], jax.Array],
) -> Any:
    """Calls a function of a batch of texts with the positions that have a target, and no others.

    Args:
      function: `(wanted [Q] or None, targets, valid) -> anything`; see `Context.wanted`.
      targets: `[B]` or `[B, T]`.
      valid: which examples count `[B]`, bool.
      positions: rising choices of `Q`; the first that holds all targets is taken, and if none
        does, or there is none, the function gets the batch as it is.
      over_lanes: the largest of a scalar over the clients that run together.

    Returns:
      What the function returns.
    """
    if targets.ndim != 2 or not positions:
        return function(None, targets, valid)
    flat = jnp.where(valid[:, None], targets, IGNORED).reshape(-1)
    taken = flat != IGNORED
    count = over_lanes(jnp.sum(taken))

    def some(number: int) -> Any:
        # Positions beyond the last target are out of bounds.
        wanted = jnp.nonzero(taken, size=number, fill_value=flat.size)[0]
        there = flat.at[wanted].get(mode="fill", fill_value=IGNORED)
        return function(wanted, there, wanted < flat.size)

    choices = [functools.partial(some, number) for number in positions]
    choice = jnp.sum(count > jnp.array(positions))
    return jax.lax.switch(choice, [*choices, lambda: function(None, targets, valid)])
