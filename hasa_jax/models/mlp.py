"""Multi-layer perceptron: every hidden layer is a unit group."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.models.layers import WHOLE, Dense, Norm, exit_places, joined, scale
from hasa_jax.supernet.types import Context


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
    """

    num_classes: int
    hidden: int = 128
    layers: int = 2
    norm: str = "none"
    scaler: str = "none"
    exits: int = 1
    exit_blocks: tuple[int, ...] = ()

    @nn.compact
    def __call__(
        self, inputs: jax.Array, context: Context = WHOLE
    ) -> jax.Array | tuple[jax.Array, ...]:
        """Classifies.

        Args:
          inputs: `[B, ...]`, any number type.
          context: which units are kept, their share, and which examples count.

        Returns:
          Logits `[B, K]`, a tuple of them if there are several exits.

        Raises:
          UserError: if `norm`, `scaler` or the exits are invalid.
        """
        places = exit_places(self.exits, self.exit_blocks, self.layers)
        logits: list[jax.Array] = []
        state, below = inputs.astype(jnp.float32).reshape(inputs.shape[0], -1), None
        for layer in range(places[-1]):
            group = f"hidden/{layer}"
            state = Dense(self.hidden, (below, group), name=f"dense_{layer + 1}")(state)
            state = scale(state, context, self.scaler)
            norm = Norm(group, self.hidden, self.norm, name=f"norm_{layer + 1}")
            state, below = nn.relu(norm(state, context)), group
            if layer + 1 in places:
                head = Dense(self.num_classes, (group, "classes"), name=f"head_{len(logits) + 1}")
                logits.append(head(state))
        return joined(logits)
