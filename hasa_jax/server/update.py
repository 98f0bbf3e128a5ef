"""The server's step along the mean update."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import optax

from hasa_jax.base import Params, PartialSum, PyTree
from hasa_jax.server.aggregation import mean_update


def server_update(
    params: Params,
    opt_state: PyTree,
    partial: PartialSum,
    optimizer: optax.GradientTransformation,
    aggregation: str,
) -> tuple[Params, PyTree]:
    """Takes one server step along the mean update.

    The optimizer sees the negative mean update as a gradient, so `optax.sgd(1.0)` is plain
    averaging. Optimizers with memory would go on moving a coordinate that no client
    trained in this round, so coverage masks their step.

    Args:
      params: the supernet.
      opt_state: state of the server optimizer.
      partial: sums over all clients of the round.
      optimizer: an optax transformation.
      aggregation: one of `AGGREGATIONS`.

    Returns:
      New params and new optimizer state. Coordinates that no client trained keep
      their bits.

    References:
      Adaptive federated optimization, arXiv 2003.00295.
    """
    gradient = jax.tree.map(jnp.negative, mean_update(partial, aggregation))
    steps, opt_state = optimizer.update(gradient, opt_state, params)
    params = jax.tree.map(
        lambda p, step, weight: jnp.where(weight > 0, p + step, p), params, steps, partial.weight
    )
    return params, opt_state
