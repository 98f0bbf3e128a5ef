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
        teacher = losses.at_exit(step.forward(kept=None)[0], step.exits)
        student = losses.at_exit(step.forward(kept=step.drawn)[0], step.exits)
        sums = losses.score_batch(teacher, step.targets, step.valid)
        _, in_classes = losses.target_losses(teacher, step.targets, step.valid)
        soft = jax.lax.stop_gradient(jax.nn.softmax(teacher))
        distances = -jnp.sum(soft * jax.nn.log_softmax(student), axis=-1)
        distances = jnp.sum(jnp.where(in_classes, distances, 0.0))
        return losses.mean_loss(sums) + distances / jnp.maximum(sums.loss_count, 1), sums

    return Objective(loss, teacher=True, name="self_distillation")
