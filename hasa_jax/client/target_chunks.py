"""Mean loss over the targets of a batch, computed a chunk of positions at a time.

The logits of texts are the largest arrays of a step: `[B T, K]`. A target outside the classes is a
miss whatever the logits are, so padding and unknown words need none. Here the targets inside the
classes come first, a loop walks over as many chunks of them as a batch holds, and each chunk's
logits, loss, hits and gradients are computed in one pass and forgotten. So one program serves
batches with any number of targets, and no array of all logits exists.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import IGNORED, UNKNOWN, ClientData, ClientMetrics, PyTree
from hasa_jax.client.batches import Batch
from hasa_jax.supernet import losses
from hasa_jax.supernet.types import LinearHead, Output

_VECTOR = 16
"""Chunks are multiples of so many positions. A further chunk costs about as much as so many."""

_MOST_LOGITS = 2**22
"""Most logits of a chunk."""

_MOST_POSITIONS = 1024
"""Most positions of a chunk."""

_SAMPLED_BATCHES = 2000
"""About as many batches choose the size of a chunk."""

TargetLoss = Callable[
    [tuple[jax.Array, ...], jax.Array, jax.Array, PyTree], tuple[jax.Array, ClientMetrics]
]
"""`(logits [Q, K] of each output, targets [Q], valid [Q], extras) -> (sum, metrics)`: the sum over
some targets of what is minimised. A function without traced values of its own."""


class Targets(NamedTuple):
    """The targets of a batch, and how many of them are computed at once.

    Attributes:
      values: class ids `[B]` or `[B, T]`.
      valid: which examples count `[B]`, bool.
      chunk: positions in a chunk; 0 for all logits at once (static).
      lane_axis: name of the axis of clients that run in one `vmap`; None without (static).
    """

    values: jax.Array
    valid: jax.Array
    chunk: int = 0
    lane_axis: str | None = None


def targets_of(batch: Batch, chunk: int, lane_axis: str | None) -> Targets:
    """Returns the targets of a batch."""
    return Targets(batch.targets, batch.valid, chunk, lane_axis)


def largest(value: jax.Array, lane_axis: str | None) -> jax.Array:
    """Returns the largest of a scalar over the clients that run in one `vmap`.

    It is the same for all of them, so that a loop on it stays one.
    """
    return value if lane_axis is None else jax.lax.pmax(value, lane_axis)


def mean_over_targets(
    targets: Targets, outputs: tuple[Output, ...], target_loss: TargetLoss, extras: PyTree = ()
) -> tuple[jax.Array, ClientMetrics]:
    """Averages a loss over the targets that have one.

    `F = sum_q loss(z_q, y_q) / |{q}|` with `z_q = h_q W + b` for each output. If the outputs are
    linear heads, its gradient is written out: a chunk's pass forwards is followed by its pass
    backwards, `dh_q = dz_q W^T`, `dW += h_q^T dz_q`, `db += dz_q`.

    Args:
      targets: those of the batch.
      outputs: what the forward pass returned for each exit: logits, or linear heads if it was
        asked for them and the model has them.
      target_loss: of some targets. It must not hold traced values; see `extras`.
      extras: arrays that the loss needs, without a gradient.

    Returns:
      The mean, 0 without any target, and the metrics of the batch.
    """
    deferred = all(isinstance(output, LinearHead) for output in outputs)
    if not deferred or not targets.chunk:
        logits = tuple(_logits(output) for output in outputs)
        total, sums = target_loss(logits, targets.values, targets.valid, extras)
        return total / jnp.maximum(sums.loss_count, 1), sums
    # Padding has no target, whatever is written there.
    flat = jnp.where(targets.valid[:, None], targets.values, IGNORED).reshape(-1)
    count = jnp.sum(flat >= 0, dtype=jnp.int32)
    heads = tuple(_flat(output) for output in outputs if isinstance(output, LinearHead))
    chunks = -(-largest(count, targets.lane_axis) // targets.chunk)
    scale = 1 / jnp.maximum(count, 1).astype(jnp.float32)
    found: Any = _walk(target_loss, targets.chunk, heads, (flat, chunks, scale, extras))
    mean, sums = found
    misses = jnp.sum(flat == UNKNOWN, dtype=jnp.int32)
    # Counts are known before the loop, so that a step does not wait for it to know them.
    return mean, dataclasses.replace(sums, loss_count=count, count=count + misses)


def _logits(output: Output) -> jax.Array:
    """Returns logits, in float32."""
    return output.logits() if isinstance(output, LinearHead) else output


def _flat(head: LinearHead) -> LinearHead:
    """Returns a head whose states are a list of positions `[B T, U]`."""
    return dataclasses.replace(head, states=head.states.reshape(-1, head.states.shape[-1]))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _walk(
    target_loss: TargetLoss, chunk: int, heads: tuple[LinearHead, ...], rest: PyTree
) -> tuple[jax.Array, ClientMetrics]:
    """Sums `scale loss` over the chunks of targets; nothing is kept for a gradient."""
    flat, chunks, scale, extras = rest
    order = _order(flat, chunk)

    def add(number: jax.Array, carry: PyTree) -> PyTree:
        picked, known, inside = _chunk(heads, flat, order, number, chunk)
        found = _chunk_loss(picked, target_loss, known, inside, scale, extras)
        return jax.tree.map(jnp.add, carry, found)

    return jax.lax.fori_loop(0, chunks, add, (jnp.float32(0), losses.no_metrics()))


def _walk_forward(
    target_loss: TargetLoss, chunk: int, heads: tuple[LinearHead, ...], rest: PyTree
) -> tuple[tuple[jax.Array, ClientMetrics], tuple[LinearHead, ...]]:
    """Sums the same, and the gradients of the heads with it."""
    flat, chunks, scale, extras = rest
    order = _order(flat, chunk)
    differentiate = jax.value_and_grad(_chunk_loss, has_aux=True)

    def add(number: jax.Array, carry: PyTree) -> PyTree:
        found, into_states, into_heads = carry
        picked, known, inside = _chunk(heads, flat, order, number, chunk)
        new, grads = differentiate(picked, target_loss, known, inside, scale, extras)
        start = number * chunk
        into_states = [
            jax.lax.dynamic_update_slice_in_dim(into, grad.states, start, axis=0)
            for into, grad in zip(into_states, grads, strict=True)
        ]
        # Sums over chunks are float32 for any type of the products.
        parts = [(grad.kernel, grad.bias) for grad in grads]
        into_heads = jax.tree.map(lambda x, y: x + y.astype(x.dtype), into_heads, parts)
        return jax.tree.map(jnp.add, found, new), into_states, into_heads

    start = (
        (jnp.float32(0), losses.no_metrics()),
        [jnp.zeros((len(order), head.states.shape[1]), head.states.dtype) for head in heads],
        [(jnp.zeros(h.kernel.shape, jnp.float32), jnp.zeros(h.bias.shape)) for h in heads],
    )
    found, states, parts = jax.lax.fori_loop(0, chunks, add, start)
    # Where in the list of targets each position stands; those without a target have no gradient.
    place = jnp.where(flat >= 0, jnp.cumsum(flat >= 0) - 1, len(order))
    gradients = tuple(
        LinearHead(
            states=own.at[place].get(mode="fill", fill_value=0),
            kernel=kernel.astype(head.kernel.dtype),
            bias=bias.astype(head.bias.dtype),
        )
        for own, (kernel, bias), head in zip(states, parts, heads, strict=True)
    )
    return found, gradients


def _walk_backward(
    target_loss: TargetLoss, chunk: int, gradients: tuple[LinearHead, ...], cotangents: Any
) -> tuple[tuple[LinearHead, ...], None]:
    """Scales the gradients; metrics have none."""
    del target_loss, chunk
    return jax.tree.map(lambda x: x * cotangents[0].astype(x.dtype), gradients), None


_walk.defvjp(_walk_forward, _walk_backward)


def _order(flat: jax.Array, chunk: int) -> jax.Array:
    """Lists the positions of targets first; full chunks, filled up with a position too large."""
    length = -(-flat.size // chunk) * chunk
    return jnp.nonzero(flat >= 0, size=length, fill_value=flat.size)[0]


def _chunk(
    heads: tuple[LinearHead, ...], flat: jax.Array, order: jax.Array, number: jax.Array, chunk: int
) -> tuple[tuple[LinearHead, ...], jax.Array, jax.Array]:
    """Returns the heads at the positions of a chunk, the targets there, and which there are."""
    chosen = jax.lax.dynamic_slice_in_dim(order, number * chunk, chunk)
    known = flat.at[chosen].get(mode="fill", fill_value=IGNORED)
    picked = [
        dataclasses.replace(head, states=head.states.at[chosen].get(mode="clip")) for head in heads
    ]
    return tuple(picked), known, chosen < flat.size


def _chunk_loss(
    picked: tuple[LinearHead, ...],
    target_loss: TargetLoss,
    known: jax.Array,
    inside: jax.Array,
    scale: jax.Array,
    extras: PyTree,
) -> tuple[jax.Array, ClientMetrics]:
    """Returns a chunk's part of the mean loss, and its metrics."""
    total, sums = target_loss(tuple(each.logits() for each in picked), known, inside, extras)
    return total * scale, sums


def usual_chunk(data: ClientData, batch_size: int) -> int:
    """Chooses how many positions a chunk of targets has.

    Clients' examples are put into batches by chance, as training does. The chunk is the multiple
    of 16 with the least `mean(ceil(n / chunk)) (chunk + 16)` over batches of n targets: full
    chunks are computed, and each costs about 16 positions more for its part of the head's
    gradient.

    Args:
      data: training examples of all clients.
      batch_size: examples in a batch.

    Returns:
      Positions; 0 if targets are no texts.
    """
    targets = np.asarray(data.targets)
    if targets.ndim != 2 or not len(targets):
        return 0
    offsets = np.asarray(data.offsets)
    held = _batch_totals((targets[: offsets[-1]] >= 0).sum(axis=1), offsets, batch_size)
    most = min(_MOST_POSITIONS, _MOST_LOGITS // data.num_classes) // _VECTOR
    everywhere = -(-batch_size * targets.shape[1] // _VECTOR)
    choices = _VECTOR * np.arange(1, max(1, min(most, everywhere)) + 1)
    cost = [np.mean(-(-held // chunk)) * (chunk + _VECTOR) for chunk in choices]
    return int(choices[int(np.argmin(cost))])


def _batch_totals(values: np.ndarray, offsets: np.ndarray, batch_size: int) -> np.ndarray:
    """Sums a number of each example over batches of single clients, made by chance."""
    num_examples = np.diff(offsets)
    owners = np.repeat(np.arange(len(num_examples)), num_examples)
    position = np.arange(len(values)) - offsets[owners]
    first = np.concatenate([[0], np.cumsum(-(-num_examples // batch_size))])
    batch = first[owners] + position // batch_size
    generator = np.random.default_rng(0)  # One answer for one data set.
    passes = -(-_SAMPLED_BATCHES // max(1, int(first[-1])))
    orders = [np.lexsort((generator.random(len(values)), owners)) for _ in range(passes)]
    totals = [np.bincount(batch, values[order], first[-1]) for order in orders]
    return np.concatenate(totals).astype(np.int64)
