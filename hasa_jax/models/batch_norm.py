"""A norm over a batch whose gradient reads the activations three times."""

from __future__ import annotations

import functools
from typing import Any

import jax
import jax.numpy as jnp

_EPSILON = 1e-5

Moments = tuple[jax.Array, jax.Array, jax.Array]


def normalise_batch(
    inputs: jax.Array, gain: jax.Array, shift: jax.Array, weights: jax.Array
) -> tuple[jax.Array, Moments]:
    """Normalises each channel by the moments of a batch: `gain (x - mean) / std + shift`.

    The gradient that JAX derives makes arrays as large as the activations for the weights and for
    every step of the chain rule. Here sums are taken over an example's positions first, and then
    over examples, so that weights stay small; gain and shift are part of the gradient, which has
    two sums and one map:
    `dx_b = gain / std (dy_b - weight_b / count (sum(dy) + x_b' sum(dy x')))`, x' normalised.

    Args:
      inputs: `[B, ..., U]`.
      gain: `[U]`.
      shift: `[U]`.
      weights: of the examples in the moments `[B]`, float; 1 for one that counts, else 0.

    Returns:
      The outputs `[B, ..., U]`, and the mean `[U]`, the biased variance `[U]` and the number of
      values behind them (1 if no example counts). No gradient passes through the last three.

    References:
      arXiv 1502.03167.
    """
    outputs, moments = _normalise(inputs, gain, shift, weights)
    return outputs, jax.lax.stop_gradient(moments)


def apply_moments(
    inputs: jax.Array, gain: jax.Array, shift: jax.Array, mean: jax.Array, variance: jax.Array
) -> jax.Array:
    """Normalises each channel of `[B, ..., U]` by given moments `[U]`."""
    last = _along_last(inputs)
    normal = (inputs - mean.reshape(last)) * jax.lax.rsqrt(variance + _EPSILON).reshape(last)
    return normal * gain.reshape(last) + shift.reshape(last)


def _along_last(inputs: jax.Array) -> tuple[int, ...]:
    """Returns the shape in which `[U]` broadcasts against the inputs."""
    return (1,) * (inputs.ndim - 1) + (-1,)


def _by_example(values: jax.Array) -> jax.Array:
    """Sums `[B, ..., U]` over positions: `[B, U]`."""
    return jnp.sum(values, tuple(range(1, values.ndim - 1)))


def _weighted(weights: jax.Array, values: jax.Array) -> jax.Array:
    """Sums `[B, U]` with weights `[B]`, in full precision on accelerators too."""
    return jnp.matmul(weights, values, precision=jax.lax.Precision.HIGHEST)


@jax.custom_vjp
def _normalise(
    inputs: jax.Array, gain: jax.Array, shift: jax.Array, weights: jax.Array
) -> tuple[jax.Array, Moments]:
    return _forward(inputs, gain, shift, weights)[0]


# A model has many norms of few shapes: each shape is traced once, and nothing is left to call.
@functools.partial(jax.jit, inline=True)
def _forward(
    inputs: jax.Array, gain: jax.Array, shift: jax.Array, weights: jax.Array
) -> tuple[tuple[jax.Array, Moments], Any]:
    examples, units = inputs.shape[0], inputs.shape[-1]
    count = jnp.maximum(jnp.sum(weights) * (inputs.size // (examples * units)), 1)
    mean = _weighted(weights, _by_example(inputs)) / count
    centred = inputs - mean.reshape(_along_last(inputs))
    variance = _weighted(weights, _by_example(jnp.square(centred))) / count
    outputs = apply_moments(inputs, gain, shift, mean, variance)
    residuals = (inputs, gain, shift, weights, mean, variance, count)
    return (outputs, (mean, variance, count)), residuals


def _backward(residuals: Any, gradients: Any) -> tuple[jax.Array, ...]:
    inputs, gain, shift, weights, mean, variance, count = residuals
    gradient, last = gradients[0], _along_last(inputs)
    over_std = jax.lax.rsqrt(variance + _EPSILON)
    centred = inputs - mean.reshape(last)
    of_shift = jnp.sum(_by_example(gradient), 0)
    of_gain = jnp.sum(_by_example(gradient * centred), 0) * over_std
    steep = gain * over_std
    share = (weights / count)[:, None]
    wide = (inputs.shape[0],) + (1,) * (inputs.ndim - 2) + (-1,)
    of_mean = (share * (steep * of_shift)[None]).reshape(wide)
    of_std = (share * (steep * over_std * of_gain)[None]).reshape(wide)
    of_inputs = steep.reshape(last) * gradient - of_mean - of_std * centred
    return (
        of_inputs.astype(inputs.dtype),
        of_gain.astype(gain.dtype),
        of_shift.astype(shift.dtype),
        jnp.zeros_like(weights),
    )


_normalise.defvjp(_forward, _backward)
