"""FjORD's self-distillation: the full subnet teaches the drawn width."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientMetrics
from hasa_jax.client.objectives.objective import LocalStep, Objective
from hasa_jax.supernet import losses


def self_distillation() -> Objective:
    """Hard labels for the client's full subnet, its soft labels for the drawn width.

    `CE(z_max, y) + CE(z_p, softmax(z_max))` with the teacher's gradient stopped, temperature 1
    and equal weights.

    Returns:
      The objective; it goes with `ordered_dropout(teacher=True)`.

    References:
      FjORD, arXiv 2102.13451.
    """

    def loss(step: LocalStep) -> tuple[jax.Array, ClientMetrics]:
        teacher = losses.deepest(step.forward(kept=None)[0], step.exits)
        student = losses.deepest(step.forward(kept=step.drawn)[0], step.exits)
        return step.mean((*teacher, *student), _distilled, step.exits)

    return Objective(loss, teacher=True, name="self_distillation")


def _distilled(
    outputs: tuple[jax.Array, ...],
    targets: jax.Array,
    valid: jax.Array,
    exits: int | jax.Array,
) -> tuple[jax.Array, ClientMetrics]:
    """Sums the teacher's loss and the student's distance to it over targets.

    The teacher's exits come first, then as many of the student.
    """
    half = len(outputs) // 2
    teacher = losses.at_exit(outputs[:half], exits)
    student = losses.at_exit(outputs[half:], exits)
    sums = losses.score_batch(teacher, targets, valid)
    _, in_classes = losses.target_losses(teacher, targets, valid)
    soft = jax.lax.stop_gradient(jax.nn.softmax(teacher))
    distances = -jnp.sum(soft * jax.nn.log_softmax(student), axis=-1)
    return sums.loss + jnp.sum(jnp.where(in_classes, distances, 0.0)), sums
