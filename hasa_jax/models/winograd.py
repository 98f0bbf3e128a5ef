"""A 3 x 3 convolution with 2.25 times fewer multiplications, for CPUs.

Every 2 x 2 pixels of the output come from 4 x 4 of the input. With the matrices below,
`Y = A^T [(G g G^T) * (B^T d B)] A` for a tile d and a kernel g, so a convolution is 16 products of
matrices, one for each entry, between two linear maps (Winograd's F(2 x 2, 3 x 3)). The maps hold
only 0, 1, -1 and 1/2, so the result is nearly as exact as a direct convolution's.

The gradients use the transposes of the same maps: they are again 16 products each, and share what
the forward pass has mapped. The maps go over rows first and over columns then; a barrier between
keeps the compiler from computing the first for every use.
"""

from __future__ import annotations

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.models.shifted import bordered, shifted

_FEWEST_CHANNELS = 32
"""With fewer, compiling the maps costs more than the multiplications that they save."""

_SMALLEST_SIDE = 2
_MOST_BYTES = 2**25
"""Of mapped inputs and outputs, each four times as large as the images: about a cache."""

_KERNEL_MAP = np.array([[1, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]], np.float32)


def suits(inputs: jax.Array, kernel: jax.Array, stride: int) -> bool:
    """Returns whether this is the faster way to convolve in training on this backend.

    Accelerators have convolutions of their own, and other types than float32 would lose digits in
    the maps.

    Args:
      inputs: `[B, height, width, in]`.
      kernel: `[size, size, in, out]`.
      stride: step between outputs.

    Returns:
      Whether it is, by the shapes, the type and the backend.
    """
    examples, height, width = inputs.shape[:3]
    tiles = examples * -(-height // 2) * -(-width // 2)
    return (
        jax.default_backend() == "cpu"
        and kernel.dtype == jnp.float32
        and kernel.shape[0] == 3
        and stride == 1
        and min(kernel.shape[2:]) >= _FEWEST_CHANNELS
        and min(height, width) >= _SMALLEST_SIDE
        and 16 * tiles * sum(kernel.shape[2:]) * 4 <= _MOST_BYTES
    )


class Mapped(NamedTuple):
    """What the gradients share with the forward pass.

    Attributes:
      inputs: tiles of the images `[4, 4, B, height / 2, width / 2, in]`.
      kernel: the mapped kernel `[4, 4, in, out]`.
    """

    inputs: jax.Array
    kernel: jax.Array


# Each shape is traced once, and nothing is left to call in the program.
@functools.partial(jax.jit, inline=True)
def forward(inputs: jax.Array, kernel: jax.Array) -> tuple[jax.Array, Mapped]:
    """Convolves at stride 1, with one zero around the image.

    Args:
      inputs: `[B, height, width, in]`, float32.
      kernel: `[3, 3, in, out]`, float32.

    Returns:
      `[B, height, width, out]`, and what `backward` needs.

    References:
      arXiv 1509.09308.
    """
    mapped = Mapped(_map_inputs(inputs), _map_kernel(kernel))
    products = jnp.einsum("rcbhwi,rcio->rcbhwo", *mapped)
    height, width = inputs.shape[1:3]
    return _map_outputs(products)[:, :height, :width], mapped


def backward(mapped: Mapped, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Returns the gradients of the inputs and the kernel.

    Args:
      mapped: from `forward`.
      gradient: of the outputs `[B, height, width, out]`.
    """
    height, width = gradient.shape[1:3]
    spread = _spread_outputs(gradient)
    of_inputs = jnp.einsum("rcbhwo,rcio->rcbhwi", spread, mapped.kernel)
    of_kernel = jnp.einsum("rcbhwi,rcbhwo->rcio", mapped.inputs, spread)
    return _fold_inputs(of_inputs)[:, :height, :width], _fold_kernel(of_kernel)


def _map_inputs(inputs: jax.Array) -> jax.Array:
    """Maps images to the tiles `B^T d B` `[4, 4, B, height / 2, width / 2, in]`."""
    odd = [side % 2 for side in inputs.shape[1:3]]
    padded = bordered(inputs, (1, 1 + odd[0]), (1, 1 + odd[1]))
    lines, columns = (side - 2 for side in padded.shape[1:3])

    def mapped(zeroth, first, second, third, axis):
        return jnp.stack([zeroth - second, first + second, second - first, first - third], axis)

    tall = mapped(*(padded[:, start : start + lines : 2] for start in range(4)), axis=0)
    tall = jax.lax.optimization_barrier(tall)
    return mapped(*(tall[:, :, :, start : start + columns : 2] for start in range(4)), axis=1)


def _fold_inputs(tiles: jax.Array) -> jax.Array:
    """Transposes `_map_inputs`: sums tiles `[4, 4, B, h, w, in]` where they overlap."""

    def folded(four):
        even = four[1] - four[2] + four[3] - shifted(four[3], 2, 1)
        odd = four[1] + four[2] - four[0] + shifted(four[0], 2, -1)
        return _alternating(even, odd)

    return folded(jax.lax.optimization_barrier(folded(tiles)))


def _map_outputs(products: jax.Array) -> jax.Array:
    """Maps tiles `[4, 4, B, h, w, out]` to the images `A^T m A` `[B, 2 h, 2 w, out]`."""

    def mapped(four):
        return _alternating(four[0] + four[1] + four[2], four[1] - four[2] - four[3])

    return mapped(mapped(products))


def _spread_outputs(images: jax.Array) -> jax.Array:
    """Transposes `_map_outputs`: `[B, height, width, out]` to tiles `[4, 4, B, h, w, out]`."""
    odd = [side % 2 for side in images.shape[1:3]]
    even = bordered(images, (0, odd[0]), (0, odd[1]))

    def spread(zeroth, first, axis):
        return jnp.stack([zeroth, zeroth + first, zeroth - first, -first], axis)

    tall = jax.lax.optimization_barrier(spread(even[:, ::2], even[:, 1::2], axis=0))
    return spread(tall[:, :, :, ::2], tall[:, :, :, 1::2], axis=1)


def _alternating(even: jax.Array, odd: jax.Array) -> jax.Array:
    """Joins two arrays so that their entries take turns along the third axis."""
    pairs = jnp.stack([even, odd], 3)
    return pairs.reshape(*even.shape[:2], -1, *even.shape[3:])


def _map_kernel(kernel: jax.Array) -> jax.Array:
    """Maps a kernel `[3, 3, in, out]` to `G g G^T` `[4, 4, in, out]`."""
    both = jnp.asarray(np.kron(_KERNEL_MAP, _KERNEL_MAP))
    return (both @ kernel.reshape(9, -1)).reshape(4, 4, *kernel.shape[2:])


def _fold_kernel(mapped: jax.Array) -> jax.Array:
    """Transposes `_map_kernel`."""
    both = jnp.asarray(np.kron(_KERNEL_MAP, _KERNEL_MAP).T)
    return (both @ mapped.reshape(16, -1)).reshape(3, 3, *mapped.shape[2:])
