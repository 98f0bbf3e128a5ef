"""The convolutional network of HeteroFL: four convolutions, each a unit group."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.base import UserError
from hasa_jax.models.convolution import Conv
from hasa_jax.models.layers import WHOLE, Dense, Norm, exit_places, joined, scale
from hasa_jax.supernet.types import Context

_STAGES = 4


class CNN(nn.Module):
    """Four stages of convolution, scaler, norm and ReLU with pooling between, and a linear head.

    Attributes:
      num_classes: classes, `K`; never cut.
      stage1: channels of the first convolution, each stage being a group.
      stage2: channels of the second.
      stage3: channels of the third.
      stage4: channels of the fourth.
      norm: kind of norm, one of `layers.NORMS`.
      scaler: when to divide by the width, one of `layers.SCALERS`.
      exits: exits built, the first ones of `exit_blocks`.
      exit_blocks: stages below every exit; empty for one exit, at full depth.

    References:
      arXiv 2010.01264.
    """

    num_classes: int
    stage1: int = 64
    stage2: int = 128
    stage3: int = 256
    stage4: int = 512
    norm: str = "static"
    scaler: str = "none"
    exits: int = 1
    exit_blocks: tuple[int, ...] = ()

    @nn.compact
    def __call__(
        self, images: jax.Array, context: Context = WHOLE
    ) -> jax.Array | tuple[jax.Array, ...]:
        """Classifies images.

        Args:
          images: `[B, height, width, channels]`, any number type, of at least 8 by 8 pixels.
          context: which channels are kept, their share, and which examples count.

        Returns:
          Logits `[B, K]`, a tuple of them if there are several exits.

        Raises:
          UserError: if the images are too small, or `norm`, `scaler` or the exits are invalid.
        """
        if images.ndim != 4 or min(images.shape[1:3]) < 2 ** (_STAGES - 1):
            raise UserError(f"CNN needs images of 8 x 8 or more, not inputs of {images.shape[1:]}")
        places = exit_places(self.exits, self.exit_blocks, _STAGES)
        logits: list[jax.Array] = []
        state, below = images.astype(jnp.float32), None
        for stage in range(1, places[-1] + 1):
            group = f"stage{stage}"
            channels = getattr(self, group)
            if stage > 1:
                state = _pooled(state)
            state = Conv(channels, (below, group), bias=True, name=f"conv_{stage}")(state)
            state = scale(state, context, self.scaler)
            norm = Norm(group, channels, self.norm, name=f"norm_{stage}")
            state, below = nn.relu(norm(state, context)), group
            if stage in places:
                head = Dense(self.num_classes, (group, "classes"), name=f"head_{len(logits) + 1}")
                logits.append(head(jnp.mean(state, axis=(1, 2))))
        return joined(logits)


def _pooled(images: jax.Array) -> jax.Array:
    """Takes the maximum of every 2 x 2 pixels; an odd last row or column is dropped.

    By slices: the gradient of `reduce_window` is slow on CPUs.
    """
    height, width = (side // 2 * 2 for side in images.shape[1:3])
    rows = jnp.maximum(images[:, 0:height:2], images[:, 1:height:2])
    return jnp.maximum(rows[:, :, 0:width:2], rows[:, :, 1:width:2])
