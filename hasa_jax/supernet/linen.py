"""Turns a flax.linen module with named axes into a supernet."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, Self

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.supernet import architecture
from hasa_jax.supernet.architecture import (
    Inputs,
    OwnSpec,
    cast,
    cast_back,
    no_dropout,
    outputs_of,
)
from hasa_jax.supernet.context_argument import context_argument, takes_context
from hasa_jax.supernet.types import Context, Model, ModelSpec


def from_linen(module: nn.Module, *, dtype: Any = jnp.float32) -> ModelSpec:
    """Makes a model of any linen module whose parameters name their axes.

    Give each parameter's initializer its axis names by `nn.with_logical_partitioning(init,
    names)`. An axis name is the module field that holds its number of units, so the same class
    builds every narrower network. `field/anything` is a unit group of its own with the same
    number of units. `classes` and `tokens` name axes with one entry for each class or token,
    which are never cut. A name of None also marks an axis that is never cut.

    All else is optional:

    * If `__call__` has an argument `context`, it receives the `Context`.
    * A module with early exits has a field `exits`, builds that many, and returns a tuple of
      logits.
    * The method sets the fields `norm` and `scaler`.
    * The data set sets the fields `num_classes`, `num_tokens`, `max_length` and `input_shape`, that
      of an example, if they are None.
    * `Model.module` sets a field `width` that holds a float: the share of the supernet's units, by
      which a scaler divides when `__call__` receives no context.
    * Dropout is `hasa_jax.models.layers.Dropout`, which draws for the units of the supernet.

    Args:
      module: the module at full size.
      dtype: type in which the forward and backward pass compute. Parameters, losses and
        optimizers are float32 for any type.

    Returns:
      A specification. Its `bind` raises a `UserError` if an axis name is no field of the module,
      if the named axes do not explain the parameter shapes of a narrower module, if the module
      keeps state or draws random numbers by rngs of flax, such as `nn.Dropout` does, if its logits
      do not fit the data set, if the method has a scaler and the module does not, or if subnets of
      it compute something else when their units are cut out than when the others are set to zero
      (`narrow_trial.try_narrow`).
    """
    return OwnSpec(_Linen(module), dtype)


def supernet_of(
    module: nn.Module,
    example: jax.Array | np.ndarray | jax.ShapeDtypeStruct,
    dtype: Any = jnp.float32,
) -> Model:
    """Makes the supernet of a linen module whose fields are all set; see `from_linen`.

    Args:
      module: the module at full size.
      example: inputs of any batch size `[B, ...]`; only shape and dtype are used.
      dtype: type in which the forward and backward pass compute.

    Returns:
      The supernet.

    Raises:
      UserError: as `architecture.supernet_of` does.
    """
    return architecture.supernet_of(_Linen(module), example, dtype)


@dataclasses.dataclass(frozen=True)
class _Linen:
    """A linen module as an `Architecture`."""

    module: nn.Module

    @property
    def name(self) -> str:
        return type(self.module).__name__

    @property
    def fields(self) -> Mapping[str, Any]:
        names = (field.name for field in dataclasses.fields(self.module))
        return {name: getattr(self.module, name, None) for name in names}

    @property
    def word(self) -> str:
        return "field"

    @property
    def takes_context(self) -> bool:
        return takes_context(type(self.module))

    def with_fields(self, fields: Mapping[str, Any]) -> Self:
        return dataclasses.replace(self, module=self.module.clone(**fields))

    def parameters(self, inputs: Inputs) -> tuple[PyTree, PyTree]:
        own = context_argument(type(self.module), Context())
        boxed = jax.eval_shape(
            lambda key, inputs: self.module.init(key, inputs, **own), jax.random.key(0), inputs
        )
        others = ", ".join(sorted(set(boxed) - {"params", "batch_moments"}))
        if others or "params" not in boxed:
            raise UserError(
                f"{self.name} has the collections [{others or 'no parameters'}]; only "
                "params are supported (a norm that keeps averages over batches must be "
                "hasa_jax.models.layers.Norm)"
            )
        shapes = nn.meta.unbox(boxed)["params"]
        axes = jax.tree.map(
            lambda spec, leaf: tuple(spec) or (None,) * len(leaf.shape),
            nn.get_partition_spec(boxed)["params"],
            shapes,
            is_leaf=lambda leaf: isinstance(leaf, jax.sharding.PartitionSpec),
        )
        return shapes, axes

    def init(self, inputs: Inputs, key: jax.Array) -> Params:
        zeros, own = (
            jnp.zeros(inputs.shape, inputs.dtype),
            context_argument(type(self.module), Context()),
        )
        return nn.meta.unbox(self.module.init(key, zeros, **own))["params"]

    def run(
        self,
        dtype: Any,
        params: Params,
        inputs: Any,
        context: Context,
        moments: PyTree | None = None,
    ) -> tuple[tuple[Any, ...], PyTree]:
        params, moments, inputs, context = cast((params, moments, inputs, context), dtype)
        variables = {"params": params} | ({} if moments is None else {"moments": moments})
        own = context_argument(type(self.module), context)
        output, state = self.module.apply(variables, inputs, **own, mutable=["batch_moments"])
        found = state.get("batch_moments", {})
        return outputs_of(output, dtype), found if dtype == jnp.float32 else cast_back(found)

    def traced(self, step: Callable[[], Any]) -> Any:
        def refuse(call: Any, arguments: Any, keywords: Any, context: Any) -> Any:
            # Also where it is switched off by an argument that only the user's own loop would set.
            if isinstance(context.module, nn.Dropout) and context.module.rate:
                raise UserError(no_dropout(self.name, "nn.Dropout"))
            return call(*arguments, **keywords)

        try:
            with nn.intercept_methods(refuse):
                return step()
        except flax.errors.InvalidRngError:
            raise UserError(
                f"{self.name} draws random numbers by rngs of flax while training: draw them by "
                "`context.key`, which is the client's own and the same in masked and sliced "
                "execution"
            ) from None

    def deployed(self, params: Params) -> nn.Module:
        del params  # They are an argument of `apply`.
        return self.module
