"""The convolutional network of HeteroFL: four convolutions, each a unit group."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.models.convolution import Conv
from hasa_jax.models.exit_head import ExitHead
from hasa_jax.models.fit import check_counts, check_exit_head, check_fit, place_exits
from hasa_jax.models.layers import Dense, Norm, exit_places, joined, rescale, scale
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.types import Context, Model, ModelSpec

_STAGES = 4


def cnn(
    hidden: int = 64,
    exits: int = 1,
    exits_after: Sequence[int] = (),
    exit_head: str = "linear",
    dtype: Any = jnp.float32,
) -> ModelSpec:
    """Makes the CNN of HeteroFL: four convolutions, each with twice the units of the one before.

    Args:
      hidden: units of the first convolution.
      exits: exits, spread over the four stages.
      exits_after: stages below every early exit, instead of spreading `exits`; the last exit is
        at full depth in any case.
      exit_head: classifier of the early exits, one of `exit_head.EXIT_HEADS`.
      dtype: type in which the forward and backward pass compute.

    Returns:
      A specification. Its `bind` raises a `UserError` if the data are no images of at least 8 by 8
      pixels, or if there are more exits than stages.

    Raises:
      UserError: if a count is below 1, or there is no such exit head.

    References:
      arXiv 2010.01264.
    """
    check_counts(hidden=hidden, exits=exits)
    check_exit_head(exit_head)
    return _CNNSpec(hidden, exits, tuple(exits_after), exit_head, dtype)


@dataclasses.dataclass(frozen=True)
class _CNNSpec:
    hidden: int
    exits: int
    exits_after: tuple[int, ...]
    exit_head: str
    dtype: Any

    def bind(self, dataset: FederatedDataset, *, norm: str, scaler: str) -> Model:
        check_fit("cnn", dataset)
        places = place_exits("cnn", self.exits, _STAGES, exits_after=self.exits_after)
        module = CNN(
            dataset.train.num_classes,
            *(self.hidden * 2**stage for stage in range(_STAGES)),
            norm=norm,
            scaler=scaler,
            exits=len(places),
            exit_blocks=places,
            exit_head=self.exit_head,
        )
        return supernet_of(module, dataset.train.inputs, self.dtype)


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
      exit_head: classifier of the early exits, one of `exit_head.EXIT_HEADS`.
      width: share of the supernet's units, by which the scaler divides without a context.

    References:
      arXiv 2010.01264.
    """

    num_classes: int
    stage1: int
    stage2: int
    stage3: int
    stage4: int
    norm: str = "static"
    scaler: str = "none"
    exits: int = 1
    exit_blocks: tuple[int, ...] = ()
    exit_head: str = "linear"
    width: float = 1.0

    @nn.compact
    def __call__(
        self, images: jax.Array, context: Context | None = None
    ) -> jax.Array | tuple[jax.Array, ...]:
        """Classifies images.

        Args:
          images: `[B, height, width, channels]`, any number type, of at least 8 by 8 pixels.
          context: which channels are kept, their share, and which examples count; None for all
            channels of this module and all examples.

        Returns:
          Logits `[B, K]`, a tuple of them if there are several exits.

        Raises:
          UserError: if the images are too small, or `norm`, `scaler` or the exits are invalid.
        """
        context = Context(width=self.width) if context is None else context
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
            state = rescale(nn.relu(norm(state, context)), context, self.scaler)
            below = group
            if stage in places:
                logits.append(self._exit(len(logits) + 1, stage, state, context))
        return joined(logits)

    def _exit(self, number: int, stage: int, state: jax.Array, context: Context) -> jax.Array:
        """Classifies the activations `[B, height, width, U]` after a stage."""
        group, name = f"stage{stage}", f"head_{number}"
        if self.exit_head == "published" and stage < _STAGES:
            channels, kinds = state.shape[-1], (self.norm, self.scaler)
            head = ExitHead(self.num_classes, channels, group, number, *kinds, name=name)
            return head(state, context)
        head = Dense(self.num_classes, (group, "classes"), name=name)
        return head(jnp.mean(state, axis=(1, 2)))


def _pooled(images: jax.Array) -> jax.Array:
    """Takes the maximum of every 2 x 2 pixels; an odd last row or column is dropped.

    By slices: the gradient of `reduce_window` is slow on CPUs.
    """
    height, width = (side // 2 * 2 for side in images.shape[1:3])
    halved = jnp.maximum(images[:, 0:height:2], images[:, 1:height:2])
    return jnp.maximum(halved[:, :, 0:width:2], halved[:, :, 1:width:2])
