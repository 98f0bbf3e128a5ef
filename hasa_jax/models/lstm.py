"""LSTM next-word supernet: the hidden units are cut, embedding and vocabulary are whole."""

from __future__ import annotations

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp


def _zero_but_forget(key: jax.Array, shape: tuple[int, int], dtype=jnp.float32) -> jax.Array:
    """Initialises gate biases `(4, hidden)`: 1 for the forget gate, so that memory starts long."""
    del key
    return jnp.zeros(shape, dtype).at[1].set(1.0)


class LSTM(nn.Module):
    """One-layer LSTM language model.

    Gate kernels are `(in, 4, hidden)`, so that one axis name cuts all four gates alike.

    Attributes:
      num_tokens: input ids (vocabulary, padding and out-of-vocabulary).
      num_classes: words that can be predicted, `K`; never cut.
      embed_dim: size of the embedding; never cut.
      hidden: units of the LSTM; the one unit group.
      scaler: whether to divide the hidden state by the subnet's width while training, so
        that its sum into the logits is as large as the supernet's (HeteroFL's scaler).

    References:
      Long short-term memory, Hochreiter and Schmidhuber 1997; scaler: arXiv 2010.01264.
    """

    num_tokens: int
    num_classes: int
    embed_dim: int = 128
    hidden: int = 256
    scaler: bool = False

    @nn.compact
    def __call__(
        self, tokens: jax.Array, *, width: float | jax.Array = 1.0, train: bool = False
    ) -> jax.Array:
        """Predicts the next word at every position.

        Args:
          tokens: input ids `[B, T]`.
          width: fraction of units kept, for the scaler.
          train: whether this is a training step.

        Returns:
          Logits `[B, T, K]`.
        """
        fan_in = nn.initializers.variance_scaling(1.0, "fan_in", "uniform", 0, (1, 2))

        def parameter(name, init, names, shape) -> Any:
            return self.param(name, nn.with_logical_partitioning(init, names), shape)

        embedding = parameter(
            "embedding",
            nn.initializers.normal(0.1),
            (None, None),
            (self.num_tokens, self.embed_dim),
        )
        input_kernel = parameter(
            "input_kernel", fan_in, (None, None, "hidden"), (self.embed_dim, 4, self.hidden)
        )
        hidden_kernel = parameter(
            "hidden_kernel", fan_in, ("hidden", None, "hidden"), (self.hidden, 4, self.hidden)
        )
        gate_bias = parameter("gate_bias", _zero_but_forget, (None, "hidden"), (4, self.hidden))
        head_kernel = parameter(
            "head_kernel",
            nn.initializers.lecun_uniform(),
            ("hidden", None),
            (self.hidden, self.num_classes),
        )
        head_bias = parameter("head_bias", nn.initializers.zeros, (None,), (self.num_classes,))

        # Time first: the scan reads one contiguous slice a step.
        embedded = embedding[tokens.T]
        driven = jnp.einsum("tbe,egh->tbgh", embedded, input_kernel) + gate_bias[None, None]
        states = _run(driven, hidden_kernel)
        if self.scaler and train:
            states = states / width
        return jnp.einsum("tbh,hk->btk", states, head_kernel) + head_bias[None, None]


def _run(driven: jax.Array, hidden_kernel: jax.Array) -> jax.Array:
    """Runs the recurrence over driven gates `[T, B, 4, H]`; returns states `[T, B, H]`.

    `i, f, g, o = driven_t + h_{t-1} W`; `c_t = f c_{t-1} + i g`; `h_t = o tanh(c_t)`.
    A unit whose kernels and biases are zero has `g = 0`, hence stays at zero.
    """

    def step(carry, gates):
        cell, state = carry
        gates = gates + jnp.einsum("bh,hgk->bgk", state, hidden_kernel)
        enter, forget, leave = (nn.sigmoid(gates[:, gate]) for gate in (0, 1, 3))
        cell = forget * cell + enter * jnp.tanh(gates[:, 2])
        state = leave * jnp.tanh(cell)
        return (cell, state), state

    zeros = jnp.zeros((driven.shape[1], driven.shape[3]), driven.dtype)
    _, states = jax.lax.scan(step, (zeros, zeros), driven)
    return states
