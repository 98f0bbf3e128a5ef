"""How many MACs this machine computes in a second while it trains: one short measurement."""

from __future__ import annotations

import time

import jax
import jax.numpy as jnp

from hasa_jax.simulation.program import PASSES
from hasa_jax.supernet import costs
from hasa_jax.supernet.types import Context, Model

_SECONDS = 0.5
"""How long it is measured for, beside compilation."""


def measured_rate(model: Model, batch_size: int) -> float:
    """Measures the gradient of the supernet on a batch of zeros.

    Args:
      model: the supernet.
      batch_size: examples of a batch.

    Returns:
      `3 B macs / seconds`, by the same three passes that `SizeCosts.seconds` counts.
    """
    inputs = jnp.zeros((batch_size, *model.input_shape), model.input_dtype)

    def loss(params):
        logits, _ = model.apply(params, inputs, Context())
        return jnp.mean(logits[-1] ** 2)

    step = jax.jit(jax.grad(loss))
    params = model.init(jax.random.key(0))
    jax.block_until_ready(step(params))
    steps, start = 0, time.perf_counter()
    while (taken := time.perf_counter() - start) < _SECONDS or not steps:
        jax.block_until_ready(step(params))
        steps += 1
    return PASSES * batch_size * costs.mac_count(model, model.groups) * steps / taken
