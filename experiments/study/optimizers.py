"""From a configuration to the optimizers of clients and server."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from experiments.rooms import TrainingConfig

_SERVER_OPTIMIZERS = {"adam": optax.adam, "sgd": optax.sgd, "yogi": optax.yogi}


def client_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Builds the local optimizer: gradients are clipped first, and weights decay.

    Args:
      config: the configuration of the training.

    Returns:
      The optimizer.
    """
    parts: list[optax.GradientTransformation] = []
    if config.client_clip_norm:
        parts.append(optax.clip_by_global_norm(config.client_clip_norm))
    if config.client_optimizer == "adam":
        parts.append(optax.scale_by_adam(eps=config.client_adam_eps))
        if config.client_weight_decay:
            parts.append(optax.add_decayed_weights(config.client_weight_decay))
    else:
        if config.client_weight_decay:
            parts.append(optax.add_decayed_weights(config.client_weight_decay))
        if config.client_momentum:
            parts.append(optax.trace(config.client_momentum))
    return optax.chain(*parts, optax.scale_by_learning_rate(config.client_lr))


def server_optimizer(config: TrainingConfig) -> optax.GradientTransformation:
    """Builds the optimizer that takes the mean update.

    Args:
      config: the configuration of the training.

    Returns:
      The optimizer.
    """
    return _SERVER_OPTIMIZERS[config.server_optimizer](config.server_lr)


def schedule(config: TrainingConfig) -> Callable[[jax.Array], jax.Array] | None:
    """Builds the factor on the clients' learning rate: `decay ** milestones passed`.

    Args:
      config: the configuration of the training.

    Returns:
      `round -> factor`; None for a constant rate.
    """
    milestones, decay = config.lr_milestones, config.lr_decay

    def factor(round: jax.Array) -> jax.Array:
        passed = sum(jnp.float32(round >= milestone) for milestone in milestones)
        return jnp.float32(decay) ** passed

    return factor if milestones else None
