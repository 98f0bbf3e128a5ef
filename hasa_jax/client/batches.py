"""Which examples make up each batch: shuffled to train, in order to test, mixed to calibrate."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax import keys
from hasa_jax.base import IGNORED, UNKNOWN, ClientData, ClientMetrics
from hasa_jax.supernet.buckets import consecutive_groups

_CALIBRATION_BATCH = 256
"""Most examples in a batch of the calibration pass: large, so that batch moments are steady."""


_VECTOR, _STEPS, _BATCHES = 16, 3, 2000
"""Numbers of positions are multiples of the first; how many numbers; batches to choose them by."""


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


def cut(plan: BatchPlan, steps: jax.Array) -> BatchPlan:
    """Ends a plan after some steps.

    Args:
      plan: any plan.
      steps: how many remain at most, int32 scalar.

    Returns:
      The plan; batches beyond hold no examples, for lanes that others keep running.
    """
    inside = jnp.arange(len(plan.valid)) < steps
    return plan._replace(valid=plan.valid & inside[:, None], used=jnp.minimum(plan.used, steps))


def mixed_batches(key: jax.Array, train: ClientData) -> BatchPlan:
    """Plans a pass over all clients' training examples, mixed, in large batches.

    Args:
      key: root key of the run; it is not consumed.
      train: training examples of all clients.

    Returns:
      The plan; the same in every round.
    """
    rows = jnp.arange(train.inputs.shape[0])
    # Rows beyond the last client's are nobody's; they fill up seeds that share a program.
    total = jnp.asarray(train.offsets)[-1]
    key = keys.address(key, keys.Stream.CALIBRATION)
    draws = jax.vmap(lambda row: jax.random.bits(jax.random.fold_in(key, row)))(rows)
    order = jnp.argsort(jnp.where(rows < total, draws >> 1, jnp.uint32(0xFFFFFFFF)), stable=True)
    most = -(-rows.size // _CALIBRATION_BATCH)
    batch_size = min(_CALIBRATION_BATCH, rows.size)
    # Batches of even size: moments are averaged over batches, and a tiny one would spoil them.
    # Dealt out in turns, sizes differ by one at most.
    used = -(-total // _CALIBRATION_BATCH)
    batch = jnp.arange(most)[:, None]
    position = batch + used * jnp.arange(batch_size)[None, :]
    valid = (position < total) & (batch < used)
    return BatchPlan(order[jnp.where(valid, position, 0)], valid, used)


def batch_key(key: jax.Array, round: jax.Array, client: jax.Array) -> jax.Array:
    """Returns the key that orders a client's examples in a round."""
    return keys.address(key, keys.Stream.BATCHES, round, client)


def usual_positions(data: ClientData, batch_size: int) -> tuple[int, ...]:
    """Returns how many targets batches of texts usually hold, in a few steps.

    Clients' examples are dealt into batches by chance, as training does; the steps are those
    that make the batches compute logits at the fewest positions.

    Args:
      data: training examples of all clients.
      batch_size: examples in a batch.

    Returns:
      Rising multiples of 16 below `B T`; empty if targets are no texts, or all batches are full.
    """
    targets = np.asarray(data.targets)
    if targets.ndim != 2 or not len(targets):
        return ()
    everywhere = batch_size * targets.shape[1]
    offsets = np.asarray(data.offsets)
    held = _batch_totals((targets[: offsets[-1]] >= 0).sum(axis=1), offsets, batch_size)
    sizes, counts = np.unique(-(-held // _VECTOR) * _VECTOR, return_counts=True)
    ends = consecutive_groups(sizes.astype(np.float64), counts, _STEPS)
    return tuple(int(sizes[end]) for end in ends if 0 < sizes[end] < everywhere)


def _batch_totals(values: np.ndarray, offsets: np.ndarray, batch_size: int) -> np.ndarray:
    """Sums a number of each example over batches of single clients, dealt by chance."""
    num_examples = np.diff(offsets)
    owners = np.repeat(np.arange(len(num_examples)), num_examples)
    position = np.arange(len(values)) - offsets[owners]
    first = np.concatenate([[0], np.cumsum(-(-num_examples // batch_size))])
    batch = first[owners] + position // batch_size
    generator = np.random.default_rng(0)  # One answer for one data set.
    passes = -(-_BATCHES // max(1, int(first[-1])))
    orders = [np.lexsort((generator.random(len(values)), owners)) for _ in range(passes)]
    totals = [np.bincount(batch, values[order], first[-1]) for order in orders]
    return np.concatenate(totals).astype(np.int64)


def at_targets(
    function: Callable[[jax.Array | None, jax.Array, jax.Array], tuple[Any, ClientMetrics]],
    targets: jax.Array,
    valid: jax.Array,
    positions: tuple[int, ...],
    over_lanes: Callable[[jax.Array], jax.Array],
) -> tuple[Any, ClientMetrics]:
    """Calls a function of a batch of texts with the positions whose target is a class.

    Targets outside the classes are misses whatever the logits say, so none are computed there.

    Args:
      function: `(wanted [Q] or None, targets, valid) -> (anything, sums over the targets)`; see
        `Context.wanted`.
      targets: `[B]` or `[B, T]`.
      valid: which examples count `[B]`, bool.
      positions: rising choices of `Q`; the first that holds all targets is taken, and if none
        does, or there is none, the function gets the batch as it is.
      over_lanes: the largest of a scalar over the clients that run together.

    Returns:
      What the function returns, its sums being those over all targets.
    """
    if targets.ndim != 2 or not positions:
        return function(None, targets, valid)
    flat = jnp.where(valid[:, None], targets, IGNORED).reshape(-1)
    taken = flat >= 0
    misses = jnp.sum(flat == UNKNOWN, dtype=jnp.int32)
    count = over_lanes(jnp.sum(taken))

    def some(number: int) -> tuple[Any, ClientMetrics]:
        # Positions beyond the last target are out of bounds.
        wanted = jnp.nonzero(taken, size=number, fill_value=flat.size)[0]
        there = flat.at[wanted].get(mode="fill", fill_value=IGNORED)
        result, sums = function(wanted, there, wanted < flat.size)
        return result, dataclasses.replace(sums, count=sums.count + misses)

    choices = [functools.partial(some, number) for number in positions]
    choice = jnp.sum(count > jnp.array(positions))
    return jax.lax.switch(choice, [*choices, lambda: function(None, targets, valid)])
