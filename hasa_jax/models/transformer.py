"""Pre-norm Transformer encoder, for the next word or the class of a text."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.models.attention import Attention
from hasa_jax.models.fit import check_counts, check_fit, place_exits
from hasa_jax.models.layers import (
    Dense,
    Dropout,
    Head,
    Norm,
    check_dropout,
    exit_places,
    joined,
    parameter,
    rescale,
    scale,
)
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.types import Context, Model, ModelSpec, Output

PADDING = 0
"""The token id of padding."""

_embedding = nn.initializers.normal(0.1)


def transformer(
    embed: int = 32,
    heads: int = 4,
    head_dim: int = 8,
    feedforward: int = 64,
    layers: int = 1,
    exits: int = 1,
    exits_after: Sequence[int] = (),
    dropout: float = 0.0,
    dtype: Any = jnp.float32,
) -> ModelSpec:
    """Makes a Transformer, causal if the data have next words.

    Args:
      embed: units of the residual stream.
      heads: attention heads, which are all kept.
      head_dim: units of every head.
      feedforward: hidden units of every feed-forward part.
      layers: layers.
      exits: exits, spread over the layers.
      exits_after: layers below every early exit, instead of spreading `exits`; the last exit is
        at full depth in any case.
      dropout: probability of a zero, in [0, 1), in the sum of the embeddings, the hidden units of
        the feed-forward parts, and what each part adds; HeteroFL has 0.2, BERT 0.1.
      dtype: type in which the forward and backward pass compute.

    Returns:
      A specification. Its `bind` raises a `UserError` if the data are no texts, or if there are
      more exits than layers.

    Raises:
      UserError: if a count is below 1, or the dropout is not in [0, 1).

    References:
      arXiv 1706.03762; the cut and the scaler: arXiv 2010.01264.
    """
    check_dropout(dropout)
    check_counts(
        embed=embed,
        heads=heads,
        head_dim=head_dim,
        feedforward=feedforward,
        layers=layers,
        exits=exits,
    )
    sizes = (embed, heads, head_dim, feedforward, layers, exits)
    return _TransformerSpec(*sizes, tuple(exits_after), dropout, dtype)


@dataclasses.dataclass(frozen=True)
class _TransformerSpec:
    embed: int
    heads: int
    head_dim: int
    feedforward: int
    layers: int
    exits: int
    exits_after: tuple[int, ...]
    dropout: float
    dtype: Any

    def bind(self, dataset: FederatedDataset, *, norm: str, scaler: str) -> Model:
        del norm  # It always has layer norm.
        check_fit("transformer", dataset)
        train = dataset.train
        places = place_exits(
            "transformer",
            self.exits,
            self.layers,
            deepen="layers",
            exits_after=self.exits_after,
        )
        module = Transformer(
            dataset.num_tokens,
            train.num_classes,
            self.embed,
            self.heads,
            self.head_dim,
            self.feedforward,
            self.layers,
            causal=train.targets.ndim == 2,
            max_length=train.inputs.shape[1],
            scaler=scaler,
            exits=len(places),
            exit_blocks=places,
            dropout=self.dropout,
        )
        return supernet_of(module, train.inputs, self.dtype)


class Transformer(nn.Module):
    """Encoder of tokens with learned positions; padding (id 0) is never attended to.

    The residual stream is the group `embed`; every layer l has its own groups `head_dim/l`
    and `feedforward/l`. BERT-base has the sizes embed 768, 12 heads of 64, feedforward 3072
    and 12 layers.

    Attributes:
      num_tokens: input ids (vocabulary, padding and out-of-vocabulary).
      num_classes: classes or words that can be predicted, `K`; never cut.
      embed: units of the residual stream.
      heads: attention heads; all are kept.
      head_dim: units of every head.
      feedforward: hidden units of every feed-forward part.
      layers: layers.
      causal: whether to predict the next word everywhere, or else one class of the text.
      max_length: positions, at least `T`.
      scaler: when to divide by the width, after every linear map but the heads; one of
        `layers.SCALERS`.
      exits: exits built, the first ones of `exit_blocks`.
      exit_blocks: layers below every exit; empty for one exit, at full depth.
      width: share of the supernet's units, by which the scaler divides without a context.
      dropout: probability of a zero in training, in [0, 1).

    References:
      arXiv 1706.03762; the cut and the scaler: arXiv 2010.01264.
    """

    num_tokens: int
    num_classes: int
    embed: int
    heads: int
    head_dim: int
    feedforward: int
    layers: int
    causal: bool
    max_length: int
    scaler: str = "none"
    exits: int = 1
    exit_blocks: tuple[int, ...] = ()
    width: float = 1.0
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, tokens: jax.Array, context: Context | None = None
    ) -> Output | tuple[Output, ...]:
        """Predicts the next word at every position, or the class of the text.

        Args:
          tokens: input ids `[B, T]`.
          context: which units are kept, their share, and whether logits may be deferred; None
            for all units of this module.

        Returns:
          Logits `[B, T, K]` (or the head that gives them) if causal, else `[B, K]`; a tuple of
          them if there are several exits.

        Raises:
          UserError: if texts are longer than `max_length`, or `scaler` or the exits are invalid.
        """
        context = Context(width=self.width) if context is None else context
        length = tokens.shape[1]
        if length > self.max_length:
            raise UserError(f"texts of {length} tokens but `max_length`={self.max_length}")
        places = exit_places(self.exits, self.exit_blocks, self.layers)
        present = tokens != PADDING
        allowed = jnp.broadcast_to(present[:, None], (*tokens.shape, length))
        if self.causal:
            allowed = allowed & jnp.tri(length, dtype=bool)[None]

        shapes = (self.num_tokens, self.embed), (self.max_length, self.embed)
        embedding = parameter(self, "embedding", _embedding, ("tokens", "embed"), shapes[0])
        positions = parameter(self, "positions", _embedding, (None, "embed"), shapes[1])
        states = scale(embedding[tokens] + positions[None, :length], context, self.scaler)
        states = self._drop("embedding", states, "embed", context)
        outputs: list[Output] = []
        head = None
        for layer in range(places[-1]):
            states = self._layer(layer, states, allowed, context)
            if layer + 1 in places:
                number = len(outputs) + 1
                if head is None or not self.causal:
                    name = "decoder" if self.causal else f"head_{number}"
                    head = Head(self.num_classes, "embed", name=name)
                shown = self._norm(f"head_norm_{number}", states, context)
                shown = rescale(shown, context, self.scaler)
                # The class of a text is pooled over all its positions, and has few logits.
                pooled = shown if self.causal else _pooled(shown, present)
                own = context if self.causal else dataclasses.replace(context, defer_logits=False)
                outputs.append(head(pooled, own))
        return joined(outputs)

    def _layer(
        self, layer: int, states: jax.Array, allowed: jax.Array, context: Context
    ) -> jax.Array:
        """Adds the attention and the feed-forward part of a layer to states `[B, T, U]`."""
        name = f"layer_{layer + 1}"
        attention = Attention(
            self.heads, self.head_dim, f"head_dim/{layer}", self.scaler, name=f"{name}_attention"
        )
        normal = self._norm(f"{name}_attention_norm", states, context)
        mixed = attention(rescale(normal, context, self.scaler), allowed, context)
        states = states + self._drop(f"{name}_attention", mixed, "embed", context)
        group = f"feedforward/{layer}"
        enter = Dense(self.feedforward, ("embed", group), name=f"{name}_enter")
        leave = Dense(self.embed, (group, "embed"), name=f"{name}_leave")
        normal = self._norm(f"{name}_feedforward_norm", states, context)
        normal = rescale(normal, context, self.scaler)
        hidden = nn.gelu(scale(enter(normal), context, self.scaler))
        hidden = self._drop(f"{name}_enter", hidden, group, context)
        hidden = rescale(hidden, context, self.scaler)
        added = scale(leave(hidden), context, self.scaler)
        return states + self._drop(f"{name}_leave", added, "embed", context)

    def _drop(self, name: str, states: jax.Array, group: str, context: Context) -> jax.Array:
        """Drops states `[B, T, U]` of a layer in training."""
        return Dropout(self.dropout, group, name=f"{name}_dropout")(states, context)

    def _norm(self, name: str, states: jax.Array, context: Context) -> jax.Array:
        """Normalises each position of states `[B, T, U]` by itself."""
        norm = Norm("embed", self.embed, "layer", name=name)
        return norm(states.reshape(-1, self.embed), context).reshape(states.shape)


def _pooled(states: jax.Array, present: jax.Array) -> jax.Array:
    """Averages states `[B, T, U]` over the positions that are present `[B, T]`."""
    weights = present.astype(states.dtype)[:, :, None]
    return jnp.sum(states * weights, axis=1) / jnp.maximum(jnp.sum(weights, axis=1), 1)
