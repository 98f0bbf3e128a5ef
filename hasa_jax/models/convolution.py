"""A convolution whose gradients stay fast where clients are looped over."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.models.layers import along_last, parameter, uniform


class Conv(nn.Module):
    """A square convolution of images.

    Attributes:
      features: output channels.
      names: names of the input and output channels' axes.
      size: side of the kernel, odd.
      stride: step between outputs.
      bias: whether to add one.
    """

    features: int
    names: tuple[str | None, str | None]
    size: int = 3
    stride: int = 1
    bias: bool = False

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps `[B, height, width, in]` to `[B, height / stride, width / stride, features]`."""
        shape = (self.size, self.size, inputs.shape[-1], self.features)
        kernel = parameter(self, "kernel", uniform, (None, None, *self.names), shape)
        outputs = conv(inputs, kernel, self.stride)
        if self.bias:
            bias = parameter(self, "bias", nn.initializers.zeros, self.names[1:], shape[3:])
            outputs = outputs + along_last(bias, outputs)
        return outputs


def _convolve(inputs: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    """Convolves with zeros of half the kernel's size around the image."""
    pad = kernel.shape[0] // 2
    return jax.lax.conv_general_dilated(
        inputs,
        kernel,
        window_strides=(stride, stride),
        padding=((pad, pad), (pad, pad)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )


def conv(inputs: jax.Array, kernel: jax.Array, stride: int = 1) -> jax.Array:
    """Convolves images; its gradients are written as operations that are fast in loops.

    The gradients that JAX derives (a convolution with exchanged axes, one with a dilated
    input) fall off XLA's fast path on CPUs inside `lax.scan`. Here a kernel's gradient is one
    matrix product for each of its taps, and the input's gradient is a plain convolution with
    the flipped kernel, after zeros between the outputs of a strided one.

    Args:
      inputs: `[B, height, width, in]`.
      kernel: `[size, size, in, out]`, size odd; `size // 2` zeros surround the image.
      stride: step between outputs.

    Returns:
      `[B, ceil(height / stride), ceil(width / stride), out]`.
    """
    # A norm before it may have computed in a wider type.
    outputs: Any = _conv(inputs.astype(kernel.dtype), kernel, stride)
    return outputs


@functools.partial(jax.custom_vjp, nondiff_argnums=(2,))
def _conv(inputs: jax.Array, kernel: jax.Array, stride: int) -> jax.Array:
    return _convolve(inputs, kernel, stride)


def _conv_forward(inputs: jax.Array, kernel: jax.Array, stride: int) -> tuple[jax.Array, Any]:
    return _convolve(inputs, kernel, stride), (inputs, kernel)


def _conv_backward(stride: int, residuals: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    inputs, kernel = residuals
    size, pad = kernel.shape[0], kernel.shape[0] // 2
    spans = tuple(stride * (steps - 1) + 1 for steps in gradient.shape[1:3])
    padded = jnp.pad(inputs, ((0, 0), (pad, pad), (pad, pad), (0, 0)))

    def tap(row, column):
        seen = padded[:, row : row + spans[0] : stride, column : column + spans[1] : stride]
        return jnp.einsum("bhwi,bhwo->io", seen, gradient)

    taps = [jnp.stack([tap(row, column) for column in range(size)]) for row in range(size)]
    rest = [side - span for side, span in zip(inputs.shape[1:3], spans, strict=True)]
    spread = [(0, 0, 0), (0, rest[0], stride - 1), (0, rest[1], stride - 1), (0, 0, 0)]
    dilated = jax.lax.pad(gradient, jnp.zeros((), gradient.dtype), spread)
    flipped = jnp.flip(kernel, (0, 1)).swapaxes(2, 3)
    return _convolve(dilated, flipped, 1), jnp.stack(taps)


_conv.defvjp(_conv_forward, _conv_backward)
