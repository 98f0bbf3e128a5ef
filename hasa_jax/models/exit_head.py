"""The classifier of an early exit, with convolutions of its own."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.models.convolution import Conv
from hasa_jax.models.layers import Dense, Norm, rescale, scale
from hasa_jax.supernet.types import Context

EXIT_HEADS = ("linear", "published")
"""Classifiers of early exits: a linear one, or ScaleFL's, with three convolutions before it."""

_LAYERS = 3


class ExitHead(nn.Module):
    """Three times convolution, scaler, norm and ReLU, then a linear map of the pooled channels.

    The convolutions have no bias and as many channels as the stage; each is a group of its own.

    Attributes:
      num_classes: classes, `K`; never cut.
      channels: those of the stage.
      group: their unit group.
      number: number of the exit, from 1.
      norm: kind of norm, one of `layers.NORMS`.
      scaler: when to divide by the width, one of `layers.SCALERS`.

    References:
      ScaleFL, Ilhan, Su and Liu, CVPR 2023.
    """

    num_classes: int
    channels: int
    group: str
    number: int
    norm: str
    scaler: str

    @nn.compact
    def __call__(self, images: jax.Array, context: Context) -> jax.Array:
        """Maps `[B, height, width, channels]` to logits `[B, K]`."""
        below = self.group
        for layer in range(1, _LAYERS + 1):
            group = f"{self.group}/head{self.number}_{layer}"
            images = Conv(self.channels, (below, group), name=f"conv_{layer}")(images)
            images = scale(images, context, self.scaler)
            norm = Norm(group, self.channels, self.norm, name=f"norm_{layer}")
            images = rescale(nn.relu(norm(images, context)), context, self.scaler)
            below = group
        head = Dense(self.num_classes, (below, "classes"), name="linear")
        return head(jnp.mean(images, axis=(1, 2)))
