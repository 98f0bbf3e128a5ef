"""A flax.nnx module with named axes, as an `Architecture`."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import flax.traverse_util
import jax
import jax.numpy as jnp
from flax import nnx

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.supernet.architecture import (
    SET_BY_DATA,
    Architecture,
    Inputs,
    cast,
    no_dropout,
    outputs_of,
)
from hasa_jax.supernet.context_argument import context_argument, takes_context
from hasa_jax.supernet.types import Context

_AXIS_NAMES = ("out_sharding", "sharding_names", "sharding")
"""Where versions of flax keep the axis names of a variable."""


def architecture_of(factory: Callable[..., nnx.Module]) -> Architecture:
    """Returns what a factory of nnx modules makes, as an `Architecture`.

    Args:
      factory: as for `from_nnx`.

    Returns:
      The architecture.
    """
    return _Nnx(*_unwrapped(factory))


class _Built(NamedTuple):
    """A module without values.

    Attributes:
      graph: its structure.
      variables: its parameters by their paths, with shapes for values.
      kind: its class.
    """

    graph: Any
    variables: dict[tuple[Any, ...], Any]
    kind: type


@dataclasses.dataclass(frozen=True)
class _Nnx:
    """An nnx module as an `Architecture`.

    Attributes:
      factory: makes the module.
      given: arguments of the factory that are not its defaults.
    """

    factory: Callable[..., nnx.Module]
    given: Mapping[str, Any]

    @property
    def name(self) -> str:
        return getattr(self.factory, "__name__", type(self.factory).__name__)

    @property
    def fields(self) -> Mapping[str, Any]:
        return {**_arguments(self.factory), **self.given}

    @property
    def word(self) -> str:
        return "argument"

    @property
    def takes_context(self) -> bool:
        return takes_context(self.built.kind)

    @functools.cached_property
    def built(self) -> _Built:
        """The module without values.

        Raises:
          UserError: if it cannot be made, or keeps more than parameters.
        """
        arguments = _arguments(self.factory)
        if "rngs" not in arguments:
            raise UserError(
                f"{self.name} has no argument `rngs`: from_nnx calls factory(rngs=nnx.Rngs(key), "
                "...) to make its parameters"
            )
        if "rngs" in self.given:
            raise UserError(
                f"`rngs` of {self.name} is given, but from_nnx gives each run its own: leave it "
                "out of functools.partial"
            )
        missing = [name for name, value in self.fields.items() if value is inspect.Parameter.empty]
        if missing:
            raise UserError(
                f"argument {missing[0]!r} of {self.name} has no value: give it by "
                f"functools.partial({self.name}, {missing[0]}=...)"
            )
        module = nnx.eval_shape(lambda: self._made(jax.random.key(0)))
        _check_kinds(self.name, module)
        graph, params, others = nnx.split(module, nnx.Param, ...)
        for path, variable in nnx.to_flat_state(others):
            if not isinstance(variable, nnx.Variable):
                raise UserError(_no_array(self.name, path))
            raise UserError(_no_state(self.name, path, variable))
        variables = dict(nnx.to_flat_state(params))
        if not variables:
            raise UserError(f"{self.name} has no parameters: make them by nnx.Param")
        for path, variable in variables.items():
            _check_float(self.name, path, variable)
        return _Built(graph, variables, type(module))

    def _made(self, key: jax.Array) -> nnx.Module:
        """Makes the module; its axis names are no shards of a mesh."""
        with nnx.use_eager_sharding(False):
            module = self.factory(**self.given, rngs=nnx.Rngs(key))
        if not isinstance(module, nnx.Module) or not callable(module):
            raise UserError(
                f"{self.name} makes {type(module).__name__}: it must make an nnx.Module with "
                "`__call__`, which from_nnx calls with a batch of inputs"
            )
        return module

    def with_fields(self, fields: Mapping[str, Any]) -> Self:
        return dataclasses.replace(self, given={**self.given, **fields})

    def parameters(self, inputs: Inputs) -> tuple[PyTree, PyTree]:
        del inputs  # An nnx module is made without them.
        variables = self.built.variables
        shapes = {path: _shape(variable) for path, variable in variables.items()}
        names = {path: _names(variable) for path, variable in variables.items()}
        return _tree(shapes), _tree(names)

    def init(self, inputs: Inputs, key: jax.Array) -> Params:
        del inputs
        state = nnx.state(self._made(key), nnx.Param)
        return _tree({path: each.get_value() for path, each in nnx.to_flat_state(state)})

    def run(
        self,
        dtype: Any,
        params: Params,
        inputs: Any,
        context: Context,
        moments: PyTree | None = None,
    ) -> tuple[tuple[Any, ...], PyTree]:
        del moments  # Static norms are linen's.
        params, inputs, context = cast((params, inputs, context), dtype)
        module: Any = self.deployed(params)
        output = module(inputs, **context_argument(self.built.kind, context))
        return outputs_of(output, dtype), {}

    def traced(self, step: Callable[[], Any]) -> Any:
        return step()

    def deployed(self, params: Params) -> nnx.Module:
        values = flax.traverse_util.flatten_dict(params)
        state = [
            (path, variable.replace(values[tuple(map(str, path))]))
            for path, variable in self.built.variables.items()
        ]
        return nnx.merge(self.built.graph, nnx.from_flat_state(state))


def _unwrapped(factory: Callable[..., Any]) -> tuple[Callable[..., Any], dict[str, Any]]:
    """Returns what a `functools.partial` calls, and the arguments that it gives."""
    if not isinstance(factory, functools.partial):
        return factory, {}
    inner, given = _unwrapped(factory.func)
    names = [name for name in _arguments(inner) if name not in given]
    return inner, given | dict(zip(names, factory.args, strict=False)) | factory.keywords


def _arguments(factory: Callable[..., Any]) -> dict[str, Any]:
    """Returns the arguments of a factory with their defaults; empty where there is none.

    What the data set may set is None without a default.
    """
    own = factory.__init__ if isinstance(factory, type) else factory
    plain = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY)
    found = [p for p in inspect.signature(own).parameters.values() if p.kind in plain]
    named = {p.name: p.default for p in found[isinstance(factory, type) :]}
    filled = {"rngs": None, **dict.fromkeys(SET_BY_DATA)}
    return {
        name: filled[name] if default is inspect.Parameter.empty and name in filled else default
        for name, default in named.items()
    }


def _check_kinds(name: str, module: nnx.Module) -> None:
    """Refuses dropout of flax: its narrow mask is not a part of the supernet's."""
    for _, inner in nnx.iter_modules(module):
        if isinstance(inner, nnx.Dropout) and inner.rate:
            raise UserError(no_dropout(name, "nnx.Dropout"))


def _no_state(name: str, path: tuple[Any, ...], variable: Any) -> str:
    """Says why a variable that is no parameter is refused."""
    where, kind = "/".join(map(str, path)), type(variable).__name__
    if isinstance(variable, nnx.RngState):
        return (
            f"{name} keeps random numbers at {where}: draw them by `context.key`, which is the "
            "client's own and the same in masked and sliced execution"
        )
    return (
        f"{name} keeps state ({kind} at {where}), which no method averages: use only nnx.Param, "
        "and norms without running statistics, such as nnx.LayerNorm over an axis named None"
    )


def _no_array(name: str, path: tuple[Any, ...]) -> str:
    """Says why an array that is no variable is refused."""
    return (
        f"{name} keeps an array at {'/'.join(map(str, path))} that is no nnx.Param: make it one if "
        "it is trained, else keep a tuple of numbers or compute it in `__call__`"
    )


def _check_float(name: str, path: tuple[Any, ...], variable: Any) -> None:
    """Refuses a parameter that no optimizer can change."""
    dtype = variable.get_value().dtype
    if not jnp.issubdtype(dtype, jnp.floating):
        raise UserError(
            f"parameter {'/'.join(map(str, path))} of {name} is {dtype}: parameters must be floats"
        )


def _shape(variable: Any) -> jax.ShapeDtypeStruct:
    """Returns the shape of a variable's value."""
    value = variable.get_value()
    return jax.ShapeDtypeStruct(value.shape, value.dtype)


def _names(variable: Any) -> tuple[str | None, ...]:
    """Returns the axis names of a variable; None for each axis if it has none."""
    metadata = variable.get_metadata()
    for key in _AXIS_NAMES:
        if metadata.get(key) is not None:
            return tuple(metadata[key])
    return (None,) * len(variable.get_value().shape)


def _tree(flat: Mapping[tuple[Any, ...], Any]) -> PyTree:
    """Returns a tree of dicts; positions in lists become texts."""
    return flax.traverse_util.unflatten_dict(
        {tuple(map(str, path)): leaf for path, leaf in flat.items()}
    )
