"""Multi-head self-attention whose heads are all kept and all cut alike."""

from __future__ import annotations

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.models.layers import kept_units, parameter, rescale, scale
from hasa_jax.supernet.types import Context


class Attention(nn.Module):
    """Multi-head self-attention, cut inside each head.

    Attributes:
      heads: attention heads; all are kept.
      head_dim: units of each head.
      group: their unit group.
      scaler: when to divide by the width, one of `layers.SCALERS`.

    References:
      arXiv 1706.03762.
    """

    heads: int
    head_dim: int
    group: str
    scaler: str

    @nn.compact
    def __call__(self, states: jax.Array, allowed: jax.Array, context: Context) -> jax.Array:
        """Attends.

        Args:
          states: `[B, T, U]`, their last axis being the group `embed`.
          allowed: whether query t may look at key s `[B, T, T]`, bool.
          context: which units are kept, and their share.

        Returns:
          `[B, T, U]`.
        """
        split = (self.heads, self.head_dim)
        units = states.shape[-1]

        def projected(name):
            init = nn.initializers.variance_scaling(1.0, "fan_in", "uniform", 0, (1, 2))
            names = ("embed", None, self.group)
            kernel = parameter(self, f"{name}_kernel", init, names, (units, *split))
            bias = parameter(self, f"{name}_bias", nn.initializers.zeros, names[1:], split)
            outputs = jnp.einsum("btu,uhd->bthd", states, kernel) + bias[None, None]
            return scale(outputs, context, self.scaler)

        query, key, value = projected("query"), projected("key"), projected("value")
        _, kept = kept_units(context, self.group, self.head_dim)
        temperature = jnp.sqrt(jnp.asarray(kept, states.dtype))
        logits = jnp.einsum("bthd,bshd->bhts", query, key) / temperature
        allowed = allowed[:, None]
        # A finite minimum: the weights of a query without any key must not become NaN.
        weights = jax.nn.softmax(jnp.where(allowed, logits, jnp.finfo(logits.dtype).min))
        mixed = jnp.einsum("bhts,bshd->bthd", jnp.where(allowed, weights, 0), value)
        mixed = rescale(mixed, context, self.scaler)
        init = nn.initializers.variance_scaling(1.0, "fan_in", "uniform", (0, 1), 2)
        names = (None, self.group, "embed")
        kernel = parameter(self, "output_kernel", init, names, (*split, units))
        bias = parameter(self, "output_bias", nn.initializers.zeros, names[2:], (units,))
        outputs = jnp.einsum("bthd,hdu->btu", mixed, kernel) + bias[None, None]
        return scale(outputs, context, self.scaler)
