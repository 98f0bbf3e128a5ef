"""One client's evaluation: sums of loss and hits over its examples."""

from __future__ import annotations

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, ClientMetrics, PyTree
from hasa_jax.client.batches import Batch, Batches, take_batch
from hasa_jax.client.positions import choose_number, largest, wanted_targets
from hasa_jax.supernet import losses
from hasa_jax.supernet.subnet import Subnet, forward


class EvaluationTask(NamedTuple):
    """One client's task in an evaluation.

    Attributes:
      batches: its batches.
      moments: calibrated moments of static norms, or None.
      present: classes that the client may predict `[K]`, bool; None for all.
      positions: as in `training.LocalRule` (static).
      lane_axis: as in `training.LocalTask` (static).
    """

    batches: Batches
    moments: PyTree | None
    present: jax.Array | None
    positions: tuple[int, ...]
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
    numbers = [*task.positions, None]
    scores = [functools.partial(_score, subnet, task, batch, n) for n in numbers]
    choice = choose_number(batch, task.positions, task.lane_axis)
    return jax.tree.map(jnp.add, total, jax.lax.switch(choice, scores))


def _score(subnet: Subnet, task: EvaluationTask, batch: Batch, number: int | None) -> ClientMetrics:
    """Returns the metrics of one batch, with logits at so many positions."""
    wanted, targets, valid, misses = wanted_targets(batch, number)
    outputs, _ = forward(
        subnet,
        subnet.params,
        batch.inputs,
        valid=batch.valid,
        wanted=wanted,
        moments=task.moments,
    )
    logits = losses.at_exit(outputs, subnet.exits)
    if task.present is not None:
        logits = losses.hide_classes(logits, task.present)
    sums = losses.score_batch(logits, targets, valid)
    return dataclasses.replace(sums, count=sums.count + misses)
