"""At which positions of a batch of texts logits are computed.

A target outside the classes is a miss whatever the logits are, so no logits are needed there. Array
shapes are static, so a few numbers of positions are compiled, and a batch takes the smallest
that holds its targets.
"""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import IGNORED, UNKNOWN, ClientData
from hasa_jax.client.batches import Batch
from hasa_jax.supernet.buckets import consecutive_groups

_VECTOR = 16
"""Numbers of positions are multiples of this."""

_CHOICES = 3
"""Most numbers of positions that are compiled beside the full batch."""

_SAMPLED_BATCHES = 2000
"""About as many batches choose the numbers."""


class WantedTargets(NamedTuple):
    """The targets of a batch at the positions where logits are computed.

    Attributes:
      wanted: flat positions `[Q]`; None for everywhere.
      targets: `[Q]`, or those of the batch.
      valid: which of them count `[Q]`, or which examples count `[B]`, bool.
      misses: unknown targets at other positions, int32 scalar or 0.
    """

    wanted: jax.Array | None
    targets: jax.Array
    valid: jax.Array
    misses: jax.Array | int


def choose_number(batch: Batch, numbers: tuple[int, ...], lane_axis: str | None) -> jax.Array | int:
    """Chooses the first number of positions that holds all targets of a batch.

    Args:
      batch: the batch.
      numbers: rising numbers of positions; empty for full batches.
      lane_axis: name of the axis of clients that run in one `vmap`; they choose the same.

    Returns:
      A position in `(*numbers, None)`.
    """
    if not numbers:
        return 0
    count = largest(jnp.sum(_flat_targets(batch) >= 0), lane_axis)
    return jnp.sum(count > jnp.array(numbers))


def wanted_targets(batch: Batch, number: int | None) -> WantedTargets:
    """Picks the targets inside the classes.

    Args:
      batch: the batch.
      number: positions `Q`, at least the batch's targets; None for everywhere.

    Returns:
      Where logits are wanted, and the targets there.
    """
    if number is None:
        return WantedTargets(None, batch.targets, batch.valid, 0)
    flat = _flat_targets(batch)
    # Positions beyond the last target are out of bounds.
    wanted = jnp.nonzero(flat >= 0, size=number, fill_value=flat.size)[0]
    targets = flat.at[wanted].get(mode="fill", fill_value=IGNORED)
    misses = jnp.sum(flat == UNKNOWN, dtype=jnp.int32)
    return WantedTargets(wanted, targets, wanted < flat.size, misses)


def largest(value: jax.Array, lane_axis: str | None) -> jax.Array:
    """Returns the largest of a scalar over the clients that run in one `vmap`.

    It is the same for all of them, so that a loop or a condition on it stays one.
    """
    return value if lane_axis is None else jax.lax.pmax(value, lane_axis)


def _flat_targets(batch: Batch) -> jax.Array:
    """Returns the targets of a batch of texts `[B T]`, without those of padding."""
    return jnp.where(batch.valid[:, None], batch.targets, IGNORED).reshape(-1)


def usual_positions(data: ClientData, batch_size: int) -> tuple[int, ...]:
    """Returns how many targets batches of texts usually hold, as a few numbers.

    Clients' examples are put into batches by chance, as training does. The numbers are those
    with which the batches compute logits at the fewest positions.

    Args:
      data: training examples of all clients.
      batch_size: examples in a batch.

    Returns:
      Rising multiples of 16 below `B T`; empty if targets are no texts, or if all batches are full.
    """
    targets = np.asarray(data.targets)
    if targets.ndim != 2 or not len(targets):
        return ()
    everywhere = batch_size * targets.shape[1]
    offsets = np.asarray(data.offsets)
    held = _batch_totals((targets[: offsets[-1]] >= 0).sum(axis=1), offsets, batch_size)
    sizes, counts = np.unique(-(-held // _VECTOR) * _VECTOR, return_counts=True)
    ends = consecutive_groups(sizes.astype(np.float64), counts, _CHOICES)
    return tuple(int(sizes[end]) for end in ends if 0 < sizes[end] < everywhere)


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
