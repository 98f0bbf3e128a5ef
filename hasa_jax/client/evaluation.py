"""One client's evaluation: sums of loss and hits over its examples of some splits."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, ClientMetrics, PyTree
from hasa_jax.client.batches import Batch, Batches, take_batch
from hasa_jax.client.target_chunks import largest, mean_over_targets, targets_of
from hasa_jax.supernet import losses
from hasa_jax.supernet.subnet import Subnet, forward


class EvaluationTask(NamedTuple):
    """One client's task in an evaluation.

    Attributes:
      batches: its batches of each split.
      moments: calibrated moments of static norms, or None.
      present: classes that the client may predict `[K]`, bool; None for all.
      chunk: as in `training.LocalRule` (static).
      lane_axis: as in `training.LocalTask` (static).
    """

    batches: tuple[Batches, ...]
    moments: PyTree | None
    present: jax.Array | None
    chunk: int
    lane_axis: str | None


def evaluate_client(
    subnet: Subnet, splits: tuple[ClientData, ...], task: EvaluationTask
) -> ClientMetrics:
    """Sums one client's metrics over its examples, split by split.

    One loop walks over the batches of all splits, so that one body is compiled for them.

    Args:
      subnet: the client's subnet.
      splits: examples of all clients in each split.
      task: the client's batches, and how to score them.

    Returns:
      Sums over the client's examples of each split `[S]`.
    """
    ends = jnp.cumsum(jnp.stack([batches.used for batches in task.batches]))
    step = functools.partial(_step, subnet, splits, task, ends)
    none = jax.tree.map(lambda x: jnp.zeros(len(splits), x.dtype), losses.no_metrics())
    return jax.lax.fori_loop(0, largest(ends[-1], task.lane_axis), step, none)


def _step(
    subnet: Subnet,
    splits: tuple[ClientData, ...],
    task: EvaluationTask,
    ends: jax.Array,
    number: jax.Array,
    total: ClientMetrics,
) -> ClientMetrics:
    """Adds the metrics of one batch to those of its split."""
    split = jnp.minimum(jnp.sum(number >= ends), len(splits) - 1)
    # Other lanes may still have batches when this client has none.
    started = number < ends[-1]
    batch = _nth_batch(splits, task.batches, ends, number, split)
    batch = batch._replace(valid=batch.valid & started)
    outputs, _ = forward(
        subnet,
        subnet.params,
        batch.inputs,
        valid=batch.valid,
        defer_logits=True,
        moments=task.moments,
    )
    _, sums = mean_over_targets(
        targets_of(batch, task.chunk, task.lane_axis),
        losses.deepest(outputs, subnet.exits),
        losses.score_exit,
        (subnet.exits, task.present),
    )
    return jax.tree.map(lambda all, one: all.at[split].add(one), total, sums)


def _nth_batch(
    splits: tuple[ClientData, ...],
    batches: tuple[Batches, ...],
    ends: jax.Array,
    number: jax.Array,
    split: jax.Array,
) -> Batch:
    """Takes a batch of a split by its number in the batches of all splits."""
    taken = [
        take_batch(data, own, number - (ends[i] - own.used))
        for i, (data, own) in enumerate(zip(splits, batches, strict=True))
    ]
    return jax.tree.map(lambda *parts: jax.lax.select_n(split, *parts), *taken)
