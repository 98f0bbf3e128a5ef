"""Loss and accuracy of a batch, with padding and unknown targets counted right."""

from __future__ import annotations

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
    chex.assert_shape(valid, targets.shape[:1])
    valid = valid.reshape(valid.shape + (1,) * (targets.ndim - 1))
    in_classes = valid & (targets >= 0)
    counted = valid & (targets != IGNORED)
    labels = jnp.maximum(targets, 0)
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, labels)
    # The largest of not-a-number logits would be class 0, a guess like any other.
    hits = in_classes & (jnp.argmax(logits, axis=-1) == targets) & jnp.isfinite(losses)
    return ClientMetrics(
        loss=jnp.sum(jnp.where(in_classes, losses, 0.0)),
        correct=jnp.sum(hits, dtype=jnp.int32),
        loss_count=jnp.sum(in_classes, dtype=jnp.int32),
        count=jnp.sum(counted, dtype=jnp.int32),
    )
