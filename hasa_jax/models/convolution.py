"""A convolution whose gradients stay fast where clients are looped over."""

from __future__ import annotations

import functools
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.models import winograd
from hasa_jax.models.layers import along_last, parameter, uniform
from hasa_jax.models.shifted import bordered, shifted


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

    Where `winograd.suits` says so, training steps convolve by Winograd's way. Evaluation, and the
    count of MACs, have the plain convolution. Elsewhere only the gradients are special. Those that
    JAX derives (a convolution with exchanged axes, one with a
    dilated input) fall off XLA's fast path on CPUs inside `lax.scan`. Here a kernel's gradient is
    one matrix product for each of its taps. The input's gradient is a plain convolution with the
    flipped kernel at stride 1. Else it is one product whose columns are summed where the taps
    overlap: a convolution would multiply the zeros between strided outputs.

    Args:
      inputs: `[B, height, width, in]`.
      kernel: `[size, size, in, out]`, size odd; `size // 2` zeros surround the image.
      stride: step between outputs.

    Returns:
      `[B, ceil(height / stride), ceil(width / stride), out]`.
    """
    # A norm before it may have computed in a wider type.
    outputs: Any = _conv(stride, inputs.astype(kernel.dtype), kernel)
    return outputs


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _conv(stride: int, inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    return _convolve(inputs, kernel, stride)


def _conv_forward(stride: int, inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Any]:
    if winograd.suits(inputs, kernel, stride):
        return winograd.forward(inputs, kernel)
    return _convolve(inputs, kernel, stride), (inputs, kernel)


def _conv_backward(stride: int, residuals: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    if isinstance(residuals, winograd.Mapped):
        return winograd.backward(residuals, gradient)
    inputs, kernel = residuals
    size, pad = kernel.shape[0], kernel.shape[0] // 2
    spans = tuple(stride * (steps - 1) + 1 for steps in gradient.shape[1:3])
    padded = bordered(inputs, (pad, pad), (pad, pad))

    def tap(row, column):
        seen = padded[:, row : row + spans[0] : stride, column : column + spans[1] : stride]
        return jnp.einsum("bhwi,bhwo->io", seen, gradient)

    taps = [jnp.stack([tap(row, column) for column in range(size)]) for row in range(size)]
    if stride == 1:
        of_inputs = _convolve(gradient, jnp.flip(kernel, (0, 1)).swapaxes(2, 3), 1)
    else:
        of_inputs = _fold(jnp.einsum("bhwo,rcio->rcbhwi", gradient, kernel), stride)
    return of_inputs[:, : inputs.shape[1], : inputs.shape[2]], jnp.stack(taps)


_conv.defvjp(_conv_forward, _conv_backward)


def _fold(taps: jax.Array, stride: int) -> jax.Array:
    """Sums what each tap gives to the pixels that it saw.

    Args:
      taps: `[size, size, B, h, w, in]`.
      stride: step between the pixels that a tap saw.

    Returns:
      Images `[B, stride h, stride w, in]`.
    """

    def folded(parts):
        """Sums along the third axis, for each place in a step of the stride."""
        phases = [jnp.zeros(parts.shape[1:], parts.dtype)] * stride
        for number in range(parts.shape[0]):
            by, phase = divmod(number - parts.shape[0] // 2, stride)
            phases[phase] += shifted(parts[number], 2, by)
        return phases

    pairs = jnp.stack([jnp.stack(folded(row), 3) for row in folded(taps)], 2)
    examples, height, _, width, _, channels = pairs.shape
    return pairs.reshape(examples, stride * height, stride * width, channels)
