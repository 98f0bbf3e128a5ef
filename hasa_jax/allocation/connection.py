"""Whether a subnet of single parameters has a path from its input to its output."""

from __future__ import annotations

import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Context, Extraction, Kept, Model

_PAIRS = 16


class Connection(NamedTuple):
    """What is left of a network where single parameters are cut.

    Attributes:
      empty_layers: share of the weight arrays (of two axes or more) that keep no weight.
      severed: 1 if the output is the same for every input, 0 if it is not.
    """

    empty_layers: float
    severed: float


CONNECTED = Connection(0.0, 0.0)
"""A subnet that keeps a unit of every group, as all extractions of units do."""

UNKNOWN = Connection(math.nan, math.nan)
"""A subnet that each client's own data decide."""


def connection(
    model: Model, extraction: Extraction, params: Params, size: int, key: jax.Array
) -> Connection:
    """Finds out whether the subnet of one size computes anything from its input.

    A threshold on single parameters can leave a layer without any weight. A network without
    shortcuts is then constant: its clients learn the biases behind the gap and nothing else.

    Args:
      model: the supernet.
      extraction: which parameters a size keeps.
      params: the supernet.
      size: in [1, H].
      key: draws the inputs that are compared; it is consumed.

    Returns:
      The connection of all clients of the size; `CONNECTED` for extractions of units, and
      `UNKNOWN` where each client's own data decide.
    """
    if extraction.mask is None:
        return CONNECTED
    if extraction.by_data:
        return UNKNOWN
    kept = {name: jnp.int32(count) for name, count in extraction.shape(model, size).kept}
    empty, severed = jax.device_get(_measure(model, extraction, params, kept, key))
    return Connection(float(empty), float(severed))


@functools.partial(jax.jit, static_argnames=("model", "extraction"))
def _measure(
    model: Model, extraction: Extraction, params: Params, kept: Kept, key: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """Returns the share of empty weight arrays, and whether the outputs are constant."""
    assert extraction.mask is not None
    prepared: PyTree = extraction.prepare and extraction.prepare(params, model)
    sent = Broadcast(
        model=model,
        params=params,
        round=jnp.int32(0),
        client=jnp.int32(0),
        key=key,
        sample_loss=lambda params, positions: jnp.zeros(positions.shape),
        sample_size=jnp.int32(0),
        sample_capacity=1,
    )
    view, masks = extraction.mask(sent, kept, prepared)
    weights = [leaf for leaf in jax.tree.leaves(masks) if leaf.ndim >= 2]
    empty = jnp.mean(jnp.stack([~jnp.any(leaf > 0) for leaf in weights]).astype(jnp.float32))
    logits, _ = model.apply(view(params), _examples(model, key), Context())
    return empty, jnp.all(logits[-1] == logits[-1][:1])


def _examples(model: Model, key: jax.Array) -> jax.Array:
    """Draws pairs of examples, each the opposite of the other."""
    shape = (_PAIRS, *model.input_shape)
    if jnp.issubdtype(model.input_dtype, jnp.integer):
        # Id 0 is padding.
        last = _num_tokens(model) - 1
        drawn = jax.random.randint(key, shape, 1, last + 1, jnp.int32)
        return jnp.concatenate([drawn, 1 + last - drawn]).astype(model.input_dtype)
    drawn = jax.random.normal(key, shape, jnp.float32)
    return jnp.concatenate([drawn, -drawn]).astype(model.input_dtype)


def _num_tokens(model: Model) -> int:
    """Returns the length of the axis of tokens; 3 for a model that names none."""
    lengths = [3]

    def visit(names: tuple, leaf: jax.ShapeDtypeStruct) -> None:
        lengths.extend(n for name, n in zip(names, leaf.shape, strict=True) if name == "tokens")

    units.map_with_axes(visit, model.axes, model.shapes)
    return lengths[-1]
