"""Loss and accuracy of a batch, with padding and unknown targets counted right."""

from __future__ import annotations

from collections.abc import Sequence

import chex
import jax
import jax.numpy as jnp

from hasa_jax.base import IGNORED, ClientMetrics
from hasa_jax.supernet.types import Output


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
    # The first of the largest logits is the prediction. Summing is several times as fast as
    # `argmax` on CPUs. Logits that are not numbers predict nothing.
    centred, classes = _centred(logits)
    rivals = (centred >= 0) & (classes <= targets[..., None])
    first = jnp.sum(jnp.where(rivals, 1.0 + (classes != targets[..., None]), 0.0), axis=-1) == 1
    hits = in_classes & first & jnp.isfinite(losses)
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
    # The target's logit is picked by a sum: the gradient of an indexed one is a scatter, which
    # reads and writes all logits once more.
    centred, classes = _centred(logits)
    own = jnp.sum(jnp.where(classes == targets[..., None], centred, 0.0), axis=-1)
    losses = jnp.log(jnp.sum(jnp.exp(centred), axis=-1)) - own
    return jnp.where(in_classes, losses, 0.0), in_classes


def _centred(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns logits less the largest of each row, and class ids to compare with the rows."""
    centred = logits - jax.lax.stop_gradient(jnp.max(logits, axis=-1, keepdims=True))
    return centred, jnp.arange(logits.shape[-1]).reshape((1,) * (logits.ndim - 1) + (-1,))


def example_losses(logits: jax.Array, targets: jax.Array, valid: jax.Array) -> jax.Array:
    """Returns the mean loss of each example over its targets `[B]`; 0 if it has none."""
    values, in_classes = target_losses(logits, targets, valid)
    axes = tuple(range(1, values.ndim))
    return jnp.sum(values, axes) / jnp.maximum(jnp.sum(in_classes, axes), 1)


def no_metrics() -> ClientMetrics:
    """Returns sums over nothing."""
    return ClientMetrics(jnp.float32(0), jnp.int32(0), jnp.int32(0), jnp.int32(0))


def hide_classes(logits: jax.Array, present: jax.Array) -> jax.Array:
    """Sets the logits of absent classes to 0 (not to minus infinity): HeteroFL's masking.

    Args:
      logits: `[..., K]`.
      present: `[K]`, bool.

    Returns:
      `[..., K]`.
    """
    return jnp.where(present.reshape((1,) * (logits.ndim - 1) + (-1,)), logits, 0.0)


def deepest(outputs: tuple[Output, ...], exits: int | jax.Array) -> tuple[Output, ...]:
    """Leaves out the exits that cannot be a subnet's deepest one.

    Args:
      outputs: those of every exit computed.
      exits: exits that the subnet has: an int, or an int32 scalar.

    Returns:
      Only the deepest one if it is known, or all; `at_exit` picks it of either.
    """
    return (outputs[exits - 1],) if isinstance(exits, int) else outputs


def at_exit(logits: Sequence[jax.Array], exits: int | jax.Array) -> jax.Array:
    """Returns the logits of a subnet's deepest exit.

    Args:
      logits: those of every exit computed, or only of the deepest one.
      exits: exits that the subnet has: an int, or an int32 scalar.

    Returns:
      `[B, ..., K]`.
    """
    if len(logits) == 1:
        return logits[0]
    return jnp.stack(logits)[exits - 1]


def score_exit(
    logits: tuple[jax.Array, ...],
    targets: jax.Array,
    valid: jax.Array,
    extras: tuple[int | jax.Array, jax.Array | None],
) -> tuple[jax.Array, ClientMetrics]:
    """Sums cross-entropy at a subnet's deepest exit.

    Args:
      logits: `[B, ..., K]` of every exit computed, or only of the deepest one.
      targets: class ids `[B, ...]`.
      valid: which examples count `[B]`, bool.
      extras: exits that the subnet has, and the classes whose logits are not hidden `[K]`, bool,
        or None for all.

    Returns:
      The sum over the targets, and their metrics.
    """
    exits, present = extras
    own = at_exit(logits, exits)
    if present is not None:
        own = hide_classes(own, present)
    sums = score_batch(own, targets, valid)
    return sums.loss, sums


def _spread(valid: jax.Array, targets: jax.Array) -> jax.Array:
    """Gives `valid` `[B]` the rank of the targets."""
    return valid.reshape(valid.shape + (1,) * (targets.ndim - 1))
