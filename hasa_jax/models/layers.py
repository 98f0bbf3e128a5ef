"""Layers that the supernets share: scalers, norms over kept units, affine maps, early exits.

Each layer gives the same result in a narrow module and in a wider one whose other units are
zero. The `Context` says which units are kept.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, TypeVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.base import UserError
from hasa_jax.models.batch_norm import apply_moments, normalise_batch
from hasa_jax.supernet.drops import key_of_layer
from hasa_jax.supernet.types import Context, LinearHead, Output

NORMS = ("static", "batch", "group", "layer", "none")
"""Kinds of `Norm`."""

SCALERS = ("none", "train", "always", "inverted_dropout")
"""When and where activations are divided by the width: see `scale` and `rescale`."""

Names = tuple[str | None, ...]

_Exit = TypeVar("_Exit", bound=Output)

_EPSILON = 1e-5
_NORM_GROUPS = 4

uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
"""Kernels within 1 / sqrt(fan in), as in the code of HeteroFL."""


def parameter(module: nn.Module, name: str, init: Any, names: Names, shape: tuple[int, ...]) -> Any:
    """Declares a parameter of a module whose axes have the given logical names."""
    if not module.is_initializing() and module.has_variable("params", name):
        found = nn.meta.unbox(module.get_variable("params", name))
        if found.shape == shape:
            # flax would trace the initializer for its shape, in each trace of the forward pass.
            return found
    return module.param(name, nn.with_logical_partitioning(init, names), shape)


def spread_exits(exits: int, depth: int) -> tuple[int, ...]:
    """Spreads exits evenly over the blocks of a model; the last one is at full depth.

    Args:
      exits: how many.
      depth: blocks of the model.

    Returns:
      The number of blocks below each exit, for a model's `exit_blocks`.

    Raises:
      UserError: if there are more exits than blocks, or none.
    """
    if not 1 <= exits <= depth:
        raise UserError(f"{exits} exits do not fit {depth} blocks: use 1 to {depth}")
    return tuple(depth * number // exits for number in range(1, exits + 1))


def exit_places(exits: int, exit_blocks: tuple[int, ...], depth: int) -> tuple[int, ...]:
    """Returns how many blocks lie below each of the first `exits` exits.

    Args:
      exits: how many exits a module builds.
      exit_blocks: blocks below every exit of the supernet; empty for one at full depth.
      depth: blocks of the supernet.

    Returns:
      The first `exits` of `exit_blocks`.

    Raises:
      UserError: if the places do not rise to the full depth, or are fewer than `exits`.
    """
    places = tuple(exit_blocks) or (depth,)
    if sorted({*places, 0}) != [0, *places] or places[-1] != depth:
        raise UserError(f"exit_blocks={places} must rise from 1 or more to the depth {depth}")
    if not 1 <= exits <= len(places):
        raise UserError(f"exits={exits} but exit_blocks={places} has places for {len(places)}")
    return places[:exits]


def joined(outputs: Sequence[_Exit]) -> _Exit | tuple[_Exit, ...]:
    """Returns the output of a single exit by itself, those of several as a tuple."""
    return outputs[0] if len(outputs) == 1 else tuple(outputs)


def scale(inputs: jax.Array, context: Context, scaler: str) -> jax.Array:
    """Divides activations by the fraction of units kept, so that sums over units stay as large.

    Args:
      inputs: activations of any shape.
      context: its `width` is the divisor.
      scaler: `train` divides in training steps only, `always` in evaluation as well; the others of
        `SCALERS` divide nothing here.

    Returns:
      The scaled activations.

    Raises:
      UserError: if the scaler is unknown.

    References:
      arXiv 2010.01264 (`train`), CVPR 2023 ScaleFL (`always`).
    """
    if scaler not in SCALERS:
        raise UserError(f"unknown scaler {scaler!r}: use one of {', '.join(SCALERS)}")
    active = scaler == "always" or (scaler == "train" and context.train)
    return inputs / context.width if active else inputs


def rescale(inputs: jax.Array, context: Context, scaler: str) -> jax.Array:
    """Divides the inputs of a linear map by the width: the 1/p of inverted dropout.

    Of U units a subnet of width p keeps about p U, and the sum over them is 1/p times as large. In
    training it then has the size of the sum over all. Other than `scale` it is after the norm and
    the nonlinearity, so that no norm undoes it.

    Args:
      inputs: activations of units that are cut, of any shape.
      context: its `width` is p.
      scaler: `inverted_dropout` divides, in training steps only; the others of `SCALERS` do not.

    Returns:
      The scaled activations.
    """
    return inputs / context.width if scaler == "inverted_dropout" and context.train else inputs


def classify(states: jax.Array, kernel: jax.Array, bias: jax.Array, context: Context) -> Output:
    """Returns the logits `[..., K]` of states `[..., U]`, or their head if the context defers."""
    head = LinearHead(states, kernel, bias)
    return head if context.defer_logits else head.logits()


def kept_units(context: Context, group: str, units: int) -> tuple[jax.Array, int | jax.Array]:
    """Returns the ranks of a group's units `[U]` and how many of them are kept."""
    if context.ranks is None or context.kept is None or group not in context.ranks:
        return jnp.arange(units), units
    return context.ranks[group], context.kept[group]


def along_last(values: jax.Array, like: jax.Array) -> jax.Array:
    """Reshapes `[U]` to broadcast against `[..., U]`."""
    return values.reshape((1,) * (like.ndim - 1) + (-1,))


def drop(
    inputs: jax.Array, context: Context, rate: float, group: str | None, layer: str
) -> jax.Array:
    """Zeroes activations with a probability in training steps: dropout with inverted scaling.

    `y = x m / (1 - rate)`, where m is 1 with probability `1 - rate`, else 0. The mask is keyed by
    the client, the round, the step, the layer and the unit's position in the supernet. So the mask
    of a narrow subnet is a part of the supernet's, and masked and sliced execution draw the same.

    Args:
      inputs: activations `[..., U]`.
      context: its `key` is that of the step, and its `places` say which units these are.
      rate: probability of a zero, in [0, 1); 0 does nothing.
      group: unit group of the last axis; None if it is never cut.
      layer: name of the layer, different for each place of a model that drops; a model with two
        places of one name is refused, as they would draw the same mask.

    Returns:
      The same shape. In evaluation, and for a rate of 0, the inputs.

    Raises:
      UserError: if the rate is out of range, or a training step has no key.

    References:
      Srivastava et al., JMLR 15, 2014.
    """
    check_dropout(rate)
    if not rate or not context.train:
        return inputs
    if context.key is None:
        raise UserError(f"layer {layer!r} drops units in training, which needs `context.key`")
    units = inputs.shape[-1]
    own = None if context.places is None or group is None else context.places.get(group)
    key = key_of_layer(context.key, layer, zlib.crc32(layer.encode()))
    keys = jax.vmap(jax.random.fold_in, in_axes=(None, 0))(
        key, jnp.arange(units) if own is None else own
    )
    # One key for each unit: what it draws depends on no other unit.
    kept = jax.vmap(lambda each: jax.random.bernoulli(each, 1 - rate, inputs.shape[:-1]))(keys)
    return jnp.where(jnp.moveaxis(kept, 0, -1), inputs / (1 - rate), 0)


def check_dropout(rate: float) -> None:
    """Refuses a dropout rate outside [0, 1) with a `UserError`."""
    if not 0 <= rate < 1:
        raise UserError(f"`dropout` is {rate}: it must be at least 0 and below 1")


class Dropout(nn.Module):
    """Dropout whose mask of a narrow subnet is a part of the supernet's; see `drop`.

    Its layer is its path in the model, so each place needs a module of its own: a model that calls
    one twice is refused.

    Attributes:
      rate: probability of a zero, in [0, 1).
      group: unit group of the last axis; None if it is never cut.
    """

    rate: float
    group: str | None

    @nn.compact
    def __call__(self, inputs: jax.Array, context: Context) -> jax.Array:
        """Drops activations `[..., U]` in training steps."""
        return drop(inputs, context, self.rate, self.group, "/".join(self.path))


class Norm(nn.Module):
    """A norm over channels with a gain and a shift for each of them.

    Attributes:
      group: unit group of the channels.
      units: channels, `U`.
      kind: `batch` normalises every channel by the batch's own moments, in evaluation too;
        `static` does so in training and by calibrated moments, if given, in evaluation;
        `group` and `layer` normalise an example over 4 and 1 groups of its kept channels and
        all positions; `none` does nothing.

    References:
      arXiv 1502.03167 (batch), 2010.01264 (static), 1803.08494 (group), 1607.06450 (layer).
    """

    group: str
    units: int
    kind: str

    @nn.compact
    def __call__(self, inputs: jax.Array, context: Context) -> jax.Array:
        """Normalises.

        Args:
          inputs: `[B, ..., U]`, zero in channels that are not kept.
          context: which channels are kept and which examples count.

        Returns:
          The same shape, zero in channels whose gain and shift are zero.

        Raises:
          UserError: if the kind is unknown.
        """
        if self.kind not in NORMS:
            raise UserError(f"unknown norm {self.kind!r}: use one of {', '.join(NORMS)}")
        if self.kind == "none":
            return inputs
        gain = parameter(self, "gain", nn.initializers.ones, (self.group,), (self.units,))
        shift = parameter(self, "shift", nn.initializers.zeros, (self.group,), (self.units,))
        if self.kind in ("static", "batch"):
            return self._by_batch(inputs, gain, shift, context)
        normal = self._by_example(inputs, context)
        return normal * along_last(gain, inputs) + along_last(shift, inputs)

    def _by_batch(
        self, inputs: jax.Array, gain: jax.Array, shift: jax.Array, context: Context
    ) -> jax.Array:
        """Normalises each channel over the batch's valid examples and all positions."""
        if self.kind == "static" and not context.train and self.has_variable("moments", "mean"):
            known: list[Any] = [self.get_variable("moments", name) for name in ("mean", "var")]
            return apply_moments(inputs, gain, shift, *known)
        valid = jnp.ones(inputs.shape[0], bool) if context.valid is None else context.valid
        weights = valid.astype(inputs.dtype)
        outputs, (mean, variance, count) = normalise_batch(inputs, gain, shift, weights)
        if self.kind == "static":
            unbiased: Any = variance * (count / jnp.maximum(count - 1, 1))
            moments: dict[str, Any] = {"mean": mean, "var": unbiased}
            for name, value in moments.items():
                self.sow("batch_moments", name, value, reduce_fn=lambda _, new: new)
        return outputs

    def _by_example(self, inputs: jax.Array, context: Context) -> jax.Array:
        """Normalises each example over groups of kept channels, neighbours in rank."""
        ranks, kept = kept_units(context, self.group, self.units)
        if self.kind == "layer":
            return self._by_kept(inputs, ranks < kept, kept)
        groups = _NORM_GROUPS
        member = (ranks * groups // kept)[None] == jnp.arange(groups)[:, None]
        member = (member & (ranks < kept)[None]).astype(inputs.dtype)[None]  # [1, G, U]
        positions = inputs.size // (inputs.shape[0] * self.units)
        counts = jnp.maximum(jnp.sum(member, axis=2) * positions, 1)  # [1, G]
        axes = tuple(range(1, inputs.ndim - 1))

        def averaged(values):
            """Averages `[B, ..., U]` over each group, for each of its channels."""
            means = jnp.sum(jnp.sum(values, axes)[:, None] * member, axis=2) / counts
            spread = jnp.sum(means[:, :, None] * member, axis=1)
            return spread.reshape(inputs.shape[0], *(1,) * len(axes), self.units)

        # A channel that is not kept has mean and variance zero here, and a gain of zero.
        centred = inputs - averaged(inputs)
        return centred * jax.lax.rsqrt(averaged(jnp.square(centred)) + _EPSILON)

    def _by_kept(self, inputs: jax.Array, member: jax.Array, kept: int | jax.Array) -> jax.Array:
        """Normalises each example over its kept channels and all positions."""
        axes = tuple(range(1, inputs.ndim))
        count = kept * (inputs.size // (inputs.shape[0] * self.units))
        inside = along_last(jnp.asarray(member), inputs)
        # Channels that are not kept are zero: they get no gradient, and are not far from the mean.
        mean = jnp.sum(jnp.where(inside, inputs, 0.0), axes, keepdims=True) / count
        centred = jnp.where(inside, inputs - mean, 0.0)
        variance = jnp.sum(jnp.square(centred), axes, keepdims=True) / count
        return centred * jax.lax.rsqrt(variance + _EPSILON)


class Dense(nn.Module):
    """An affine map of the last axis.

    Attributes:
      features: outputs.
      names: axis names of the kernel `(in, features)`.
    """

    features: int
    names: tuple[str | None, str | None]

    @nn.compact
    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Maps `[..., in]` to `[..., features]`."""
        shape = (inputs.shape[-1], self.features)
        kernel = parameter(self, "kernel", uniform, self.names, shape)
        bias = parameter(self, "bias", nn.initializers.zeros, self.names[1:], shape[1:])
        outputs = jnp.einsum("...i,io->...o", inputs, kernel)
        return outputs + along_last(bias, outputs)


class Head(nn.Module):
    """A linear classifier of states, whose logits may be deferred.

    Attributes:
      num_classes: classes, `K`; never cut.
      group: unit group of the states.
    """

    num_classes: int
    group: str

    @nn.compact
    def __call__(self, states: jax.Array, context: Context) -> Output:
        """Returns logits `[..., K]` of states `[..., U]`, or their head if the context defers."""
        names, shape = (self.group, "classes"), (states.shape[-1], self.num_classes)
        kernel = parameter(self, "kernel", uniform, names, shape)
        bias = parameter(self, "bias", nn.initializers.zeros, names[1:], shape[1:])
        return classify(states, kernel, bias, context)
