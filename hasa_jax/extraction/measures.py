"""Measures of importance: a non-negative score for every parameter of the supernet."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.supernet.types import Broadcast

MeasureFn = Callable[[Broadcast], PyTree]
"""`broadcast -> scores >= 0`, shaped like the params; larger means more important."""


def magnitude(broadcast: Broadcast) -> PyTree:
    """Scores a parameter by `|theta|`, the same for all clients."""
    return jax.tree.map(jnp.abs, broadcast.params)


def gradient(broadcast: Broadcast) -> PyTree:
    """Scores a parameter by `|g|`, g being the gradient of the mean loss of the sample."""
    return jax.tree.map(jnp.abs, _mean_gradient(broadcast))


def taylor(broadcast: Broadcast) -> PyTree:
    """Scores a parameter by `|g theta|`, the first-order change of the loss without it.

    References:
      SNIP, arXiv 1810.02340.
    """
    return jax.tree.map(
        lambda slope, leaf: jnp.abs(slope * leaf), _mean_gradient(broadcast), broadcast.params
    )


def fisher(broadcast: Broadcast) -> PyTree:
    """Scores a parameter by `mean_x g_x^2` over the examples x of the sample.

    Every example is evaluated within the sample: a batch norm over one example would set all
    gradients below it to zero. The backward passes run one after another, so the memory is that
    of one gradient.

    References:
      Fisher pruning, arXiv 1801.05787.
    """
    positions = jnp.arange(broadcast.sample_capacity)

    def losses(params: Params) -> jax.Array:
        return broadcast.sample_loss(params, positions)

    values, pull_back = jax.vjp(losses, broadcast.params)

    def add(total: PyTree, position: jax.Array):
        (slopes,) = pull_back((positions == position).astype(values.dtype))
        return jax.tree.map(lambda old, slope: old + jnp.square(slope), total, slopes), None

    zeros = jax.tree.map(jnp.zeros_like, broadcast.params)
    total, _ = jax.lax.scan(add, zeros, positions)
    return jax.tree.map(lambda leaf: leaf / jnp.maximum(broadcast.sample_size, 1), total)


def _mean_gradient(broadcast: Broadcast) -> PyTree:
    """Returns the gradient of the client's mean loss over its sample."""

    def loss(params: Params) -> jax.Array:
        losses = broadcast.sample_loss(params, jnp.arange(broadcast.sample_capacity))
        return jnp.sum(losses) / jnp.maximum(broadcast.sample_size, 1)

    return jax.grad(loss)(broadcast.params)


MEASURES: dict[str, MeasureFn] = {
    "fisher": fisher,
    "gradient": gradient,
    "magnitude": magnitude,
    "taylor": taylor,
}


def check_measure(measure: str) -> None:
    """Refuses names that are not in `MEASURES` with a `UserError`."""
    if measure not in MEASURES:
        raise UserError(f"unknown measure {measure!r}: use one of {', '.join(MEASURES)}")
