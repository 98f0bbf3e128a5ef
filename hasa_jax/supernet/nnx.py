"""Turns a flax.nnx module with named axes into a supernet."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import jax.numpy as jnp

from hasa_jax.supernet.architecture import OwnSpec
from hasa_jax.supernet.types import ModelSpec

if TYPE_CHECKING:
    from flax import nnx


def from_nnx(factory: Callable[..., nnx.Module], *, dtype: Any = jnp.float32) -> ModelSpec:
    """Makes a model of any nnx module whose parameters name their axes.

    `factory(rngs=..., **arguments)` makes the module: a class of nnx modules, a function, or a
    `functools.partial` of one, by which arguments get other values than their defaults. Give each
    parameter's initializer its axis names by `nnx.with_partitioning(init, names)`. An axis name is
    the argument that holds its number of units, so the same factory builds every narrower network.
    No mesh is needed. Names of other kinds, and all that is optional, are those of `from_linen`,
    with arguments of the factory in place of fields: `field/anything`, `classes`, `tokens`,
    `context` of `__call__`, `exits`, `norm`, `scaler`, `num_classes`, `num_tokens`, `max_length`,
    `input_shape` and `width`. Dropout is `hasa_jax.models.layers.drop`.

    Args:
      factory: makes the module at full size by its defaults.
      dtype: type in which the forward and backward pass compute. Parameters, losses and
        optimizers are float32 for any type.

    Returns:
      A specification. Its `bind` raises a `UserError` as that of `from_linen` does; and if the
      factory has no argument `rngs`, or an argument without a value, or if its module has
      variables other than `nnx.Param`: running statistics, as `nnx.BatchNorm` keeps, or random
      numbers, as `nnx.Dropout` does; or parameters that are no floats; or if it makes no module
      with `__call__`.
    """
    # Importing flax.nnx takes a fifth of a second, which most scripts can do without.
    from hasa_jax.supernet.nnx_module import architecture_of

    return OwnSpec(architecture_of(factory), dtype)
