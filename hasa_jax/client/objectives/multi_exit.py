"""ScaleFL's loss: every exit of the subnet, the deeper the heavier, the last one teaching."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import ClientMetrics
from hasa_jax.client.objectives.objective import LocalStep, Objective
from hasa_jax.supernet import losses


def multi_exit(
    distillation: float = 0.0,
    temperature: float = 3.0,
    first_round: int = 0,
    detach_teacher: bool = False,
) -> Objective:
    """Weighted cross-entropy of all exits, and distillation from the deepest one.

    For a client with exits 1..l:
    `[l CE(z_l, y) + sum_{j<l} j (CE(z_j, y) + gamma T^2 KL(p_l || p_j))] / (l (l + 1) / 2)` with
    `p_j = softmax(z_j / T)`. As published, the divergence is a mean over targets *and classes*.

    Args:
      distillation: `gamma`.
      temperature: `T`.
      first_round: distillation begins after this round, a quarter of all rounds as published.
      detach_teacher: whether the deepest exit gets no gradient from the divergence; as
        published, it does.

    Returns:
      The objective; it goes with `depth_width`.

    References:
      ScaleFL, Ilhan, Su and Liu, CVPR 2023.
    """
    target_loss = functools.partial(_exit_losses, distillation, temperature, detach_teacher)

    def loss(step: LocalStep) -> tuple[jax.Array, ClientMetrics]:
        outputs = step.forward(kept=step.drawn)[0]
        gamma = jnp.where(step.round > first_round, distillation, 0.0)
        return step.mean(outputs, target_loss, (jnp.int32(step.exits), gamma))

    return Objective(loss, all_exits=True, name="multi_exit")


def _exit_losses(
    distillation: float,
    temperature: float,
    detach_teacher: bool,
    outputs: tuple[jax.Array, ...],
    targets: jax.Array,
    valid: jax.Array,
    extras: tuple[jax.Array, jax.Array],
) -> tuple[jax.Array, ClientMetrics]:
    """Sums the weighted losses of all exits over targets."""
    exits, gamma = extras
    own = losses.at_exit(outputs, exits)
    teacher = jax.lax.stop_gradient(own) if detach_teacher else own
    total = jnp.float32(0.0)
    for level, logits in enumerate(outputs, start=1):
        values, in_classes = losses.target_losses(logits, targets, valid)
        exit_loss = jnp.sum(values)
        if distillation:
            divergence = _divergence(teacher, logits, in_classes, temperature)
            exit_loss += jnp.where(level < exits, gamma * divergence, 0.0)
        total += jnp.where(level <= exits, exit_weight(level, exits) * exit_loss, 0.0)
    return total, losses.score_batch(own, targets, valid)


def exit_weight(level: int | jax.Array, exits: int | jax.Array) -> jax.Array:
    """Returns the weight `j / (l (l + 1) / 2)` of exit j for a client with l exits."""
    exits = jnp.float32(exits)
    return jnp.float32(level) / (exits * (exits + 1) / 2)


def _divergence(
    teacher: jax.Array, student: jax.Array, in_classes: jax.Array, temperature: float
) -> jax.Array:
    """Sums `T^2 KL(softmax(z_l / T) || softmax(z_j / T)) / K` over targets."""
    log_p = jax.nn.log_softmax(teacher / temperature)
    log_q = jax.nn.log_softmax(student / temperature)
    per_class = jnp.exp(log_p) * (log_p - log_q)
    return temperature**2 * jnp.sum(jnp.where(in_classes, jnp.mean(per_class, axis=-1), 0.0))
