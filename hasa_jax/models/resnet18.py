"""Pre-activation ResNet-18 as HeteroFL has it, with optional early exits."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.base import FederatedDataset
from hasa_jax.models.convolution import Conv
from hasa_jax.models.exit_head import ExitHead
from hasa_jax.models.fit import check_counts, check_exit_head, check_fit, place_exits
from hasa_jax.models.layers import Dense, Norm, exit_places, joined, rescale, scale
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.types import Context, Model, ModelSpec

_STAGES = 4
_BLOCKS = 2


def resnet18(
    hidden: int = 64,
    exits: int = 1,
    exits_after: Sequence[int] = (),
    exit_head: str = "linear",
    dtype: Any = jnp.float32,
) -> ModelSpec:
    """Makes the ResNet-18 of HeteroFL: each of four stages has twice the units of the one before.

    Args:
      hidden: units of the first stage.
      exits: exits, spread over the four stages.
      exits_after: blocks, of eight, below every early exit, instead of spreading `exits`; the last
        exit is at full depth in any case.
      exit_head: classifier of the early exits, one of `exit_head.EXIT_HEADS`.
      dtype: type in which the forward and backward pass compute.

    Returns:
      A specification. Its `bind` raises a `UserError` if the data are no images, or if there are
      more exits than stages.

    Raises:
      UserError: if a count is below 1, or there is no such exit head.

    References:
      arXiv 1603.05027; widths and scaler: arXiv 2010.01264.
    """
    check_counts(hidden=hidden, exits=exits)
    check_exit_head(exit_head)
    return _ResNet18Spec(hidden, exits, tuple(exits_after), exit_head, dtype)


@dataclasses.dataclass(frozen=True)
class _ResNet18Spec:
    hidden: int
    exits: int
    exits_after: tuple[int, ...]
    exit_head: str
    dtype: Any

    def bind(self, dataset: FederatedDataset, *, norm: str, scaler: str) -> Model:
        check_fit("resnet18", dataset)
        if self.exits_after:
            blocks = _STAGES * _BLOCKS
            places = place_exits("resnet18", self.exits, blocks, exits_after=self.exits_after)
        else:
            places = tuple(_BLOCKS * n for n in place_exits("resnet18", self.exits, _STAGES))
        module = ResNet18(
            dataset.train.num_classes,
            *(self.hidden * 2**stage for stage in range(_STAGES)),
            norm=norm,
            scaler=scaler,
            exits=len(places),
            exit_blocks=places,
            exit_head=self.exit_head,
        )
        return supernet_of(module, dataset.train.inputs, self.dtype)


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
        active = rescale(active, context, self.scaler)
        # Group names decide whether the shape changes: two narrow stages may have equal counts.
        if below != outer:
            images = Conv(self.outer, (below, outer), size=1, stride=self.stride, name="shortcut")(
                active
            )
        state = Conv(self.inner, (below, inner), stride=self.stride, name="conv_1")(active)
        norm = Norm(inner, self.inner, self.norm, name="norm_2")
        state = nn.relu(norm(scale(state, context, self.scaler), context))
        state = rescale(state, context, self.scaler)
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
      exit_blocks: residual blocks below every exit; empty for one exit, at full depth.
      exit_head: classifier of the early exits, one of `exit_head.EXIT_HEADS`.
      width: share of the supernet's units, by which the scaler divides without a context.

    References:
      arXiv 1603.05027; widths and scaler: arXiv 2010.01264.
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
          images: `[B, height, width, channels]`, any number type.
          context: which channels are kept, their share, and which examples count; None for all
            channels of this module and all examples.

        Returns:
          Logits `[B, K]`, a tuple of them if there are several exits.

        Raises:
          UserError: if `norm`, `scaler` or the exits are invalid.
        """
        context = Context(width=self.width) if context is None else context
        places = exit_places(self.exits, self.exit_blocks, _STAGES * _BLOCKS)
        logits: list[jax.Array] = []
        floats = images.astype(jnp.float32)
        state, below = Conv(self.stage1, (None, "stage1"), name="conv")(floats), "stage1"
        for number in range(places[-1]):
            stage, block = number // _BLOCKS + 1, number % _BLOCKS
            group = f"stage{stage}"
            channels = getattr(self, group)
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
            if number + 1 in places:
                early = number + 1 < _STAGES * _BLOCKS
                logits.append(self._exit(len(logits) + 1, group, state, context, early))
        return joined(logits)

    def _exit(
        self, number: int, group: str, state: jax.Array, context: Context, early: bool
    ) -> jax.Array:
        """Classifies the activations `[B, height, width, U]` after a block."""
        channels = state.shape[-1]
        norm = Norm(group, channels, self.norm, name=f"head_norm_{number}")
        state = nn.relu(norm(scale(state, context, self.scaler), context))
        state = rescale(state, context, self.scaler)
        if self.exit_head == "published" and early:
            kinds, name = (self.norm, self.scaler), f"head_{number}"
            head = ExitHead(self.num_classes, channels, group, number, *kinds, name=name)
            return head(state, context)
        head = Dense(self.num_classes, (group, "classes"), name=f"head_{number}")
        return head(jnp.mean(state, axis=(1, 2)))
