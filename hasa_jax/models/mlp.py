"""Multi-layer perceptron: every hidden layer is a unit group."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.base import FederatedDataset
from hasa_jax.models.fit import check_counts, check_fit, place_exits
from hasa_jax.models.layers import Dense, Norm, exit_places, joined, rescale, scale
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.types import Context, Model, ModelSpec


def mlp(hidden: int = 64, layers: int = 1, exits: int = 1, dtype: Any = jnp.float32) -> ModelSpec:
    """Makes a perceptron for numbers of any shape.

    Args:
      hidden: units of every hidden layer.
      layers: hidden layers.
      exits: exits, spread over the hidden layers.
      dtype: type in which the forward and backward pass compute.

    Returns:
      A specification. Its `bind` raises a `UserError` if the data are texts, or if there are more
      exits than layers.

    Raises:
      UserError: if a count is below 1.
    """
    check_counts(hidden=hidden, layers=layers, exits=exits)
    return _MLPSpec(hidden, layers, exits, dtype)


@dataclasses.dataclass(frozen=True)
class _MLPSpec:
    hidden: int
    layers: int
    exits: int
    dtype: Any

    def bind(self, dataset: FederatedDataset, *, norm: str, scaler: str) -> Model:
        check_fit("mlp", dataset)
        module = MLP(
            dataset.train.num_classes,
            self.hidden,
            self.layers,
            norm=norm,
            scaler=scaler,
            exits=self.exits,
            exit_blocks=place_exits("mlp", self.exits, self.layers, deepen="layers"),
        )
        return supernet_of(module, dataset.train.inputs, self.dtype)


class MLP(nn.Module):
    """Perceptron with hidden layers of one size; inputs of any shape are flattened.

    Attributes:
      num_classes: classes, `K`; never cut.
      hidden: units of every hidden layer; the groups are `hidden/0`, `hidden/1`, ...
      layers: hidden layers.
      norm: kind of norm before each nonlinearity, one of `layers.NORMS`.
      scaler: when to divide by the width, one of `layers.SCALERS`.
      exits: exits built, the first ones of `exit_blocks`.
      exit_blocks: hidden layers below every exit; empty for one exit, at full depth.
      width: share of the supernet's units, by which the scaler divides without a context.
    """

    num_classes: int
    hidden: int
    layers: int
    norm: str = "none"
    scaler: str = "none"
    exits: int = 1
    exit_blocks: tuple[int, ...] = ()
    width: float = 1.0

    @nn.compact
    def __call__(
        self, inputs: jax.Array, context: Context | None = None
    ) -> jax.Array | tuple[jax.Array, ...]:
        """Classifies.

        Args:
          inputs: `[B, ...]`, any number type.
          context: which units are kept, their share, and which examples count; None for all
            units of this module and all examples.

        Returns:
          Logits `[B, K]`, a tuple of them if there are several exits.

        Raises:
          UserError: if `norm`, `scaler` or the exits are invalid.
        """
        context = Context(width=self.width) if context is None else context
        places = exit_places(self.exits, self.exit_blocks, self.layers)
        logits: list[jax.Array] = []
        state, below = inputs.astype(jnp.float32).reshape(inputs.shape[0], -1), None
        for layer in range(places[-1]):
            group = f"hidden/{layer}"
            state = Dense(self.hidden, (below, group), name=f"dense_{layer + 1}")(state)
            state = scale(state, context, self.scaler)
            norm = Norm(group, self.hidden, self.norm, name=f"norm_{layer + 1}")
            state = rescale(nn.relu(norm(state, context)), context, self.scaler)
            below = group
            if layer + 1 in places:
                head = Dense(self.num_classes, (group, "classes"), name=f"head_{len(logits) + 1}")
                logits.append(head(state))
        return joined(logits)
