"""One client's evaluation: sums of loss and hits over its examples."""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, ClientMetrics, PyTree
from hasa_jax.client.batches import Batches, take_batch
from hasa_jax.client.target_chunks import largest, mean_over_targets, targets_of
from hasa_jax.supernet import losses
from hasa_jax.supernet.subnet import Subnet, forward


class EvaluationTask(NamedTuple):
    """One client's task in an evaluation.

    Attributes:
      batches: its batches.
      moments: calibrated moments of static norms, or None.
      present: classes that the client may predict `[K]`, bool; None for all.
      chunk: as in `training.LocalRule` (static).
      lane_axis: as in `training.LocalTask` (static).
    """

    batches: Batches
    moments: PyTree | None
    present: jax.Array | None
    chunk: int
    lane_axis: str | None


def evaluate_client(subnet: Subnet, data: ClientData, task: EvaluationTask) -> ClientMetrics:
    """Sums one client's metrics over its examples.

    Args:
      subnet: the client's subnet.
      data: examples of all clients.
      task: the client's batches, and how to score them.

    Returns:
      Sums over the client's examples.
    """
    step = functools.partial(_step, subnet, data, task)
    steps = largest(task.batches.used, task.lane_axis)
    return jax.lax.fori_loop(0, steps, step, losses.no_metrics())


def _step(
    subnet: Subnet,
    data: ClientData,
    task: EvaluationTask,
    number: jax.Array,
    total: ClientMetrics,
) -> ClientMetrics:
    """Adds the metrics of one batch."""
    batch = take_batch(data, task.batches, number)
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
    return jax.tree.map(jnp.add, total, sums)
