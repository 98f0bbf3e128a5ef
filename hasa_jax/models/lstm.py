"""LSTM next-word supernet: only the hidden units are cut, not the embedding or vocabulary."""

from __future__ import annotations

import dataclasses
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from hasa_jax.base import FederatedDataset
from hasa_jax.models.fit import check_counts, check_fit, place_exits
from hasa_jax.models.layers import (
    Dropout,
    check_dropout,
    classify,
    exit_places,
    joined,
    parameter,
    rescale,
    scale,
)
from hasa_jax.supernet.linen import supernet_of
from hasa_jax.supernet.types import Context, Model, ModelSpec, Output


def lstm(
    embed: int = 32,
    hidden: int = 64,
    layers: int = 1,
    exits: int = 1,
    dropout: float = 0.0,
    dtype: Any = jnp.float32,
) -> ModelSpec:
    """Makes an LSTM language model.

    Args:
      embed: size of the embedding, which is never cut.
      hidden: units of every layer.
      layers: LSTM layers.
      exits: exits, spread over the layers.
      dropout: probability of a zero, in [0, 1), in the embedding and in the outputs of every layer,
        not in the recurrence.
      dtype: type in which the forward and backward pass compute.

    Returns:
      A specification. Its `bind` raises a `UserError` if the data are no texts with next words, or
      if there are more exits than layers.

    Raises:
      UserError: if a count is below 1, or the dropout is not in [0, 1).

    References:
      Long short-term memory, Hochreiter and Schmidhuber 1997; dropout: arXiv 1409.2329.
    """
    check_dropout(dropout)
    check_counts(embed=embed, hidden=hidden, layers=layers, exits=exits)
    return _LSTMSpec(embed, hidden, layers, exits, dropout, dtype)


@dataclasses.dataclass(frozen=True)
class _LSTMSpec:
    embed: int
    hidden: int
    layers: int
    exits: int
    dropout: float
    dtype: Any

    def bind(self, dataset: FederatedDataset, *, norm: str, scaler: str) -> Model:
        del norm  # An LSTM has none.
        check_fit("lstm", dataset)
        module = LSTM(
            dataset.num_tokens,
            dataset.train.num_classes,
            self.embed,
            self.hidden,
            self.layers,
            scaler=scaler,
            exits=self.exits,
            exit_blocks=place_exits("lstm", self.exits, self.layers, deepen="layers"),
            dropout=self.dropout,
        )
        return supernet_of(module, dataset.train.inputs, self.dtype)


def _zero_but_forget(key: jax.Array, shape: tuple[int, int], dtype=jnp.float32) -> jax.Array:
    """Initialises gate biases `(4, hidden)`: 1 for the forget gate, so that memory starts long."""
    del key
    return jnp.zeros(shape, dtype).at[1].set(1.0)


class LSTM(nn.Module):
    """LSTM language model.

    Gate kernels are `(in, 4, hidden)`, so that one axis name cuts all four gates alike.

    Attributes:
      num_tokens: input ids (vocabulary, padding and out-of-vocabulary).
      num_classes: words that can be predicted, `K`; never cut.
      embed: size of the embedding; never cut.
      hidden: units of every LSTM layer; the unit group `hidden`, or with several layers
        `hidden/0`, `hidden/1`, ...
      layers: LSTM layers.
      scaler: when to divide each layer's output by the subnet's width, so that sums over it
        are as large as the supernet's; one of `layers.SCALERS`.
      exits: exits built, the first ones of `exit_blocks`.
      exit_blocks: layers below every exit; empty for one exit, at full depth.
      width: share of the supernet's units, by which the scaler divides without a context.
      dropout: probability of a zero in training, in [0, 1).

    References:
      Long short-term memory, Hochreiter and Schmidhuber 1997; scaler: arXiv 2010.01264; dropout:
      arXiv 1409.2329.
    """

    num_tokens: int
    num_classes: int
    embed: int
    hidden: int
    layers: int
    scaler: str = "none"
    exits: int = 1
    exit_blocks: tuple[int, ...] = ()
    width: float = 1.0
    dropout: float = 0.0

    @nn.compact
    def __call__(
        self, tokens: jax.Array, context: Context | None = None
    ) -> Output | tuple[Output, ...]:
        """Predicts the next word at every position.

        Args:
          tokens: input ids `[B, T]`.
          context: the share of units that is kept, and whether logits may be deferred; None for
            all units of this module.

        Returns:
          Logits `[B, T, K]`, or the head that gives them; a tuple of them if there are several
          exits.

        Raises:
          UserError: if `scaler` or the exits are invalid.
        """
        context = Context(width=self.width) if context is None else context
        places = exit_places(self.exits, self.exit_blocks, self.layers)
        embedding = parameter(
            self,
            "embedding",
            nn.initializers.normal(0.1),
            ("tokens", None),
            (self.num_tokens, self.embed),
        )
        # Time first: the scan reads one contiguous slice a step.
        states, below = embedding[tokens.T], None
        states = Dropout(self.dropout, None, name="embedding_dropout")(states, context)
        outputs: list[Output] = []
        for layer in range(places[-1]):
            group = f"hidden/{layer}" if self.layers > 1 else "hidden"
            states = self._layer(layer, states, (below, group), context)
            states = scale(states, context, self.scaler)
            states = rescale(states, context, self.scaler)
            states = Dropout(self.dropout, group, name=f"dropout_{layer + 1}")(states, context)
            below = group
            if layer + 1 in places:
                suffix = f"_{len(outputs) + 1}" if outputs else ""
                names, shape = (group, "classes"), (self.hidden, self.num_classes)
                init = nn.initializers.lecun_uniform()
                kernel = parameter(self, f"head_kernel{suffix}", init, names, shape)
                init = nn.initializers.zeros
                bias = parameter(self, f"head_bias{suffix}", init, names[1:], shape[1:])
                outputs.append(classify(states.swapaxes(0, 1), kernel, bias, context))
        return joined(outputs)

    def _layer(
        self, layer: int, inputs: jax.Array, names: tuple[str | None, str], context: Context
    ) -> jax.Array:
        """Runs one layer over inputs `[T, B, in]`; returns states `[T, B, H]`."""
        below, group = names
        suffix = f"_{layer + 1}" if layer else ""
        fan_in = nn.initializers.variance_scaling(1.0, "fan_in", "uniform", 0, (1, 2))
        shape = (inputs.shape[-1], 4, self.hidden)
        kernel = parameter(self, f"input_kernel{suffix}", fan_in, (below, None, group), shape)
        shape = (self.hidden, 4, self.hidden)
        hidden = parameter(self, f"hidden_kernel{suffix}", fan_in, (group, None, group), shape)
        # The recurrence sums over kept units, too.
        hidden = rescale(hidden, context, self.scaler)
        bias = parameter(self, f"gate_bias{suffix}", _zero_but_forget, (None, group), shape[1:])
        states: Any = _run(jnp.einsum("tbe,egh->tbgh", inputs, kernel) + bias[None, None], hidden)
        return states


def _gates(driven: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array, jax.Array]:
    """Returns gates i, f, o and the candidate g of driven gates `[B, 4, H]`."""
    enter, forget, leave = (nn.sigmoid(driven[:, gate]) for gate in (0, 1, 3))
    return enter, forget, leave, jnp.tanh(driven[:, 2])


@jax.custom_vjp
def _run(driven: jax.Array, hidden_kernel: jax.Array) -> jax.Array:
    """Runs the recurrence over driven gates `[T, B, 4, H]`; returns states `[T, B, H]`.

    `i, f, g, o = driven_t + h_{t-1} W`; `c_t = f c_{t-1} + i g`; `h_t = o tanh(c_t)`.
    A unit whose kernels and biases are zero has `g = 0`, hence stays at zero.

    The gradient is written out: the one that JAX derives adds to the kernel's gradient at every
    step, here it is one product over all steps.
    """
    return _run_forward(driven, hidden_kernel)[0]


def _run_forward(driven: jax.Array, hidden_kernel: jax.Array) -> tuple[jax.Array, Any]:
    _, batch, _, hidden = driven.shape
    kernel = hidden_kernel.reshape(hidden, -1)

    def step(carry, gates):
        cell, state = carry
        gates = gates + (state @ kernel).reshape(batch, 4, hidden)
        enter, forget, leave, candidate = _gates(gates)
        new_cell = forget * cell + enter * candidate
        squashed = jnp.tanh(new_cell)
        new_state = leave * squashed
        kept = (state, cell, enter, forget, leave, candidate, squashed)
        return (new_cell, new_state), (new_state, kept)

    zeros = jnp.zeros((batch, hidden), driven.dtype)
    _, (states, kept) = jax.lax.scan(step, (zeros, zeros), driven)
    return states, (kept, hidden_kernel)


def _run_backward(residuals: Any, gradient: jax.Array) -> tuple[jax.Array, jax.Array]:
    (before, *kept), hidden_kernel = residuals
    length, batch, hidden = gradient.shape
    kernel = hidden_kernel.reshape(hidden, -1).T

    def step(carry, inputs):
        from_state, from_cell = carry
        outside, (cell, enter, forget, leave, candidate, squashed) = inputs
        from_state = from_state + outside
        from_cell = from_cell + from_state * leave * (1 - squashed**2)
        gates = jnp.concatenate(
            [
                from_cell * candidate * enter * (1 - enter),
                from_cell * cell * forget * (1 - forget),
                from_cell * enter * (1 - candidate**2),
                from_state * squashed * leave * (1 - leave),
            ],
            axis=1,
        )
        return (gates @ kernel, from_cell * forget), gates

    zeros = jnp.zeros((batch, hidden), gradient.dtype)
    _, gates = jax.lax.scan(step, (zeros, zeros), (gradient, kept), reverse=True)
    steps = length * batch
    from_kernel = before.reshape(steps, hidden).T @ gates.reshape(steps, -1)
    return gates.reshape(length, batch, 4, hidden), from_kernel.reshape(hidden_kernel.shape)


_run.defvjp(_run_forward, _run_backward)
