"""Loss and accuracy of a batch, with padding and unknown targets counted right."""

from __future__ import annotations

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp
import optax

from hasa_jax.base import IGNORED, ClientMetrics


def score_batch(logits: jax.Array, targets: jax.Array, valid: jax.Array) -> ClientMetrics:
    """Sums cross-entropy and hits over the targets of a batch.

    A target outside the classes (`UNKNOWN`) has no loss but counts as a miss; padding
    (`IGNORED`) and invalid examples count nowhere.

    Args:
      logits: `[B, ..., K]`.
      targets: class ids `[B, ...]`.
      valid: which examples count `[B]`, bool.

    Returns:
      Sums over the batch.
    """
    chex.assert_shape(logits, (*targets.shape, None))
    losses, in_classes = target_losses(logits, targets, valid)
    counted = _spread(valid, targets) & (targets != IGNORED)
    # The largest of not-a-number logits would be class 0, a guess like any other.
    hits = in_classes & (jnp.argmax(logits, axis=-1) == targets) & jnp.isfinite(losses)
    return ClientMetrics(
        loss=jnp.sum(losses),
        correct=jnp.sum(hits, dtype=jnp.int32),
        loss_count=jnp.sum(in_classes, dtype=jnp.int32),
        count=jnp.sum(counted, dtype=jnp.int32),
    )


def target_losses(
    logits: jax.Array, targets: jax.Array, valid: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the cross-entropy of every target, 0 where it has none, and which have one."""
    chex.assert_shape(valid, targets.shape[:1])
    in_classes = _spread(valid, targets) & (targets >= 0)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.maximum(targets, 0))
    return jnp.where(in_classes, losses, 0.0), in_classes


def example_losses(logits: jax.Array, targets: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns the mean loss of each example over its targets `[B]`; 0 if it has none."""
    values, in_classes = target_losses(logits, targets, valid)
    axes = tuple(range(1, values.ndim))
    return jnp.sum(values, axes) / jnp.maximum(jnp.sum(in_classes, axes), 1)


def mean_loss(sums: ClientMetrics) -> jax.Array:
    """Returns the mean loss over the targets that have one; 0 if none has."""
    return sums.loss / jnp.maximum(sums.loss_count, 1)


def hide_classes(logits: jax.Array, present: jax.Array) -> jax.Array:
    """Sets the logits of absent classes to 0 (not to minus infinity): HeteroFL's masking.

    Args:
      logits: `[..., K]`.
      present: `[K]`, bool.

    Returns:
      `[..., K]`.
    """
    return jnp.where(present.reshape((1,) * (logits.ndim - 1) + (-1,)), logits, 0.0)


def at_exit(logits: Sequence[jax.Array], exits: int | jax.Array) -> jax.Array:
    """Returns the logits of a subnet's deepest exit.

    Args:
      logits: those of every exit computed.
      exits: exits that the subnet has: an int, or an int32 scalar.

    Returns:
      `[B, ..., K]`.
    """
    if isinstance(exits, int):
        return logits[exits - 1]
    return jnp.stack(logits)[exits - 1]


def _spread(valid: jax.Array, targets: jax.Array) -> jax.Array:
    """Gives `valid` `[B]` the rank of the targets."""
    return valid.reshape(valid.shape + (1,) * (targets.ndim - 1))
