"""Pre-activation ResNet-18 as HeteroFL has it, with optional early exits."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.models.convolution import Conv
from hasa_jax.models.layers import WHOLE, Dense, Norm, exit_places, joined, scale
from hasa_jax.supernet.types import Context

_STAGES = 4
_BLOCKS = 2


class _Block(nn.Module):
    """Two convolutions, each behind a norm and a ReLU, and a shortcut around them.

    Attributes:
      inner: channels between the convolutions.
      outer: channels of the output.
      names: unit groups of the input, of the inner channels and of the output.
      stride: of the first convolution.
      norm: kind of norm.
      scaler: when to divide by the width.
    """

    inner: int
    outer: int
    names: tuple[str, str, str]
    stride: int
    norm: str
    scaler: str

    @nn.compact
    def __call__(self, images: jax.Array, context: Context) -> jax.Array:
        """Maps `[B, height, width, in]` to `[B, height / stride, width / stride, outer]`."""
        below, inner, outer = self.names
        norm = Norm(below, images.shape[-1], self.norm, name="norm_1")
        active = nn.relu(norm(scale(images, context, self.scaler), context))
        # Groups, not channel counts, tell whether the shape changes: counts of two narrow
        # stages may agree.
        if below != outer:
            images = Conv(self.outer, (below, outer), size=1, stride=self.stride, name="shortcut")(
                active
            )
        state = Conv(self.inner, (below, inner), stride=self.stride, name="conv_1")(active)
        norm = Norm(inner, self.inner, self.norm, name="norm_2")
        state = nn.relu(norm(scale(state, context, self.scaler), context))
        return images + Conv(self.outer, (inner, outer), name="conv_2")(state)


class ResNet18(nn.Module):
    """Four stages of two pre-activation residual blocks each, after one convolution.

    The sum that runs through stage s is one group, `stage1` to `stage4`; the channels inside
    its blocks are groups of their own, `stage1/inner0`, `stage1/inner1`, ...

    Attributes:
      num_classes: classes, `K`; never cut.
      stage1: channels of the first stage and of the convolution before it.
      stage2: channels of the second, at half the resolution.
      stage3: channels of the third, at a quarter.
      stage4: channels of the fourth, at an eighth.
      norm: kind of norm, one of `layers.NORMS`.
      scaler: when to divide by the width (before each norm), one of `layers.SCALERS`.
      exits: exits built, the first ones of `exit_blocks`.
      exit_blocks: stages below every exit; empty for one exit, at full depth.

    References:
      arXiv 1603.05027; widths and scaler: arXiv 2010.01264.
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
          images: `[B, height, width, channels]`, any number type.
          context: which channels are kept, their share, and which examples count.

        Returns:
          Logits `[B, K]`, a tuple of them if there are several exits.

        Raises:
          UserError: if `norm`, `scaler` or the exits are invalid.
        """
        places = exit_places(self.exits, self.exit_blocks, _STAGES)
        logits: list[jax.Array] = []
        floats = images.astype(jnp.float32)
        state, below = Conv(self.stage1, (None, "stage1"), name="conv")(floats), "stage1"
        for stage in range(1, places[-1] + 1):
            group = f"stage{stage}"
            channels = getattr(self, group)
            for block in range(_BLOCKS):
                state = _Block(
                    channels,
                    channels,
                    (below, f"{group}/inner{block}", group),
                    stride=2 if stage > 1 and block == 0 else 1,
                    norm=self.norm,
                    scaler=self.scaler,
                    name=f"stage_{stage}_block_{block + 1}",
                )(state, context)
                below = group
            if stage in places:
                logits.append(self._exit(len(logits) + 1, group, state, context))
        return joined(logits)

    def _exit(self, number: int, group: str, state: jax.Array, context: Context) -> jax.Array:
        """Classifies the activations `[B, height, width, U]` after a stage."""
        norm = Norm(group, state.shape[-1], self.norm, name=f"head_norm_{number}")
        state = nn.relu(norm(scale(state, context, self.scaler), context))
        head = Dense(self.num_classes, (group, "classes"), name=f"head_{number}")
        return head(jnp.mean(state, axis=(1, 2)))
