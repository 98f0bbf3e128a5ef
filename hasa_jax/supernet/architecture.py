"""From a module with named axes, of any library, to a supernet: the checks that all of them share.

An `Architecture` is a module whose fields say how many units it has. `linen` and `nnx` each make
one of the modules of their library.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

import flax.errors
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np
from jax.interpreters import partial_eval

from hasa_jax.base import FederatedDataset, Params, PyTree, UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.drops import layers_that_drop
from hasa_jax.supernet.narrow_trial import tried_sizes, try_narrow
from hasa_jax.supernet.types import Context, LinearHead, Model

Inputs = jax.ShapeDtypeStruct

SET_BY_DATA = ("num_classes", "num_tokens", "max_length", "input_shape")
"""Fields that the data set sets if they are None."""


class Architecture(Protocol):
    """A module with named axes, at some number of units."""

    @property
    def name(self) -> str:
        """Name of the module's class, for messages."""
        ...

    @property
    def fields(self) -> Mapping[str, Any]:
        """What the module is made of, such as its numbers of units, by name."""
        ...

    @property
    def word(self) -> str:
        """What the library calls such a field."""
        ...

    @property
    def takes_context(self) -> bool:
        """Whether the module's `__call__` has an argument `context`."""
        ...

    def with_fields(self, fields: Mapping[str, Any]) -> Self:
        """Returns the same module with other values of some fields."""
        ...

    def parameters(self, inputs: Inputs) -> tuple[PyTree, PyTree]:
        """Returns shapes of the parameters, and the names of their axes.

        Raises:
          UserError: if the module keeps state beside its parameters, or has none.
        """
        ...

    def init(self, inputs: Inputs, key: jax.Array) -> Params:
        """Initialises the parameters; the key is consumed."""
        ...

    def run(
        self,
        dtype: Any,
        params: Params,
        inputs: Any,
        context: Context,
        moments: PyTree | None = None,
    ) -> tuple[tuple[Any, ...], PyTree]:
        """Runs the forward pass in a type: an `ApplyFn`, once it has the type."""
        ...

    def traced(self, step: Callable[[], Any]) -> Any:
        """Calls what traces a training step of the module.

        Raises:
          UserError: if the module draws random numbers from anything but `Context.key`.
        """
        ...

    def deployed(self, params: Params) -> Any:
        """Returns the module itself, to be used without the simulator."""
        ...


@dataclasses.dataclass(frozen=True)
class OwnSpec:
    """A user's module until it is bound.

    Attributes:
      architecture: the module at full size.
      dtype: type in which the forward and backward pass compute.
    """

    architecture: Architecture
    dtype: Any

    def bind(self, dataset: FederatedDataset, *, norm: str, scaler: str) -> Model:
        """Sets the fields that the method and the data set decide, and makes the supernet."""
        own = self.architecture
        own = own.with_fields(_fields_of_data(own, dataset))
        _check_scaler(own, scaler)
        fields: dict[str, Any] = {"norm": norm, "scaler": scaler}
        fields = {name: value for name, value in fields.items() if name in own.fields}
        own = own.with_fields(fields)
        model = supernet_of(own, dataset.train.inputs, self.dtype)
        _check_logits(model, own.name, dataset)
        inputs = jax.ShapeDtypeStruct((1, *model.input_shape), model.input_dtype)
        for size in tried_sizes(model):
            kept = units.kept_of_size(model.groups, size)
            narrow = _narrowed(own, kept, model.num_exits)
            _check_narrow(narrow, inputs, model.shapes, model.axes, kept)
        exact = model if self.dtype == jnp.float32 else supernet_of(own, inputs)
        try_narrow(exact, own.name, dataset.train.inputs)
        return model


def _check_scaler(own: Architecture, scaler: str) -> None:
    """Refuses a module that would silently leave out the method's scaler."""
    if scaler == "none" or ("scaler" in own.fields and own.takes_context):
        return
    missing = "argument `context`" if "scaler" in own.fields else f"{own.word} `scaler`"
    raise UserError(
        f"the method has the `scaler` {scaler}, but {own.name} has no {missing}: give {own.name} "
        f"the {own.word} `scaler` and divide its activations by `context.width`, or use the method "
        'without it: dataclasses.replace(method, scaler="none")'
    )


def _fields_of_data(own: Architecture, dataset: FederatedDataset) -> dict[str, Any]:
    """Returns the fields of the module that are None and that the data set knows."""
    inputs = dataset.train.inputs
    known: dict[str, Any] = {"num_classes": dataset.train.num_classes}
    known |= {"input_shape": inputs.shape[1:]}
    if dataset.num_tokens:
        known |= {"num_tokens": dataset.num_tokens, "max_length": inputs.shape[1]}
    wanted = {*own.fields} & {*SET_BY_DATA}
    wanted = {name for name in wanted if own.fields[name] is None}
    if unknown := ", ".join(sorted(wanted - {*known})):
        raise UserError(
            f"`model` {own.name} reads {unknown} from texts, but the inputs of this "
            f"`dataset` are {inputs.dtype} numbers of shape {inputs.shape[1:]}: use texts, or give "
            f"the module these {own.word}s"
        )
    return {name: known[name] for name in wanted}


def _check_logits(model: Model, name: str, dataset: FederatedDataset) -> None:
    """Refuses logits that do not fit the targets."""
    inputs = jax.ShapeDtypeStruct((1, *model.input_shape), model.input_dtype)
    apply = functools.partial(model.apply, context=Context())
    expected = (*dataset.train.targets.shape[1:], dataset.train.num_classes)
    for logits in jax.eval_shape(apply, model.shapes, inputs)[0]:
        if logits.shape[1:] != expected:
            raise UserError(
                f"`model` {name} does not fit this `dataset`: its logits have the shape "
                f"{logits.shape[1:]} for an example, but must have {expected}"
            )


def supernet_of(
    own: Architecture,
    example: jax.Array | np.ndarray | jax.ShapeDtypeStruct,
    dtype: Any = jnp.float32,
) -> Model:
    """Makes the supernet of an architecture whose fields are all set.

    Args:
      own: the module at full size.
      example: inputs of any batch size `[B, ...]`; only shape and dtype are used.
      dtype: type in which the forward and backward pass compute.

    Returns:
      The supernet.

    Raises:
      UserError: if an axis name is no field of the module, the named axes do not explain the
        parameter shapes of a narrower module, or the module keeps state or draws random numbers
        from anything but `Context.key`.
    """
    inputs = jax.ShapeDtypeStruct((1, *example.shape[1:]), example.dtype)
    num_exits = own.fields.get("exits", 1)
    if not (isinstance(num_exits, int) and num_exits >= 1):
        raise UserError(f"{own.name} has {num_exits!r} exits: it needs 1 or more")
    shapes, axes = own.parameters(inputs)
    groups = units.read_groups(shapes, axes)
    _check_fields(own, groups)
    half = {name: -(-count // 2) for name, count in groups.items()}
    _check_narrow(_narrowed(own, half, num_exits), inputs, shapes, axes, half)
    moments, draws = _training_step(own, shapes, inputs)
    return Model(
        init=functools.partial(own.init, inputs),
        apply=functools.partial(own.run, dtype),
        narrow=lambda kept, exits: functools.partial(_narrowed(own, kept, exits).run, dtype),
        module=functools.partial(_deployed, own),
        resized=lambda kept: supernet_of(_narrowed(own, kept, num_exits), inputs, dtype),
        shapes=shapes,
        axes=axes,
        depths=_depths(own, num_exits, inputs, shapes),
        groups=groups,
        num_exits=num_exits,
        moments=moments,
        input_shape=inputs.shape[1:],
        input_dtype=inputs.dtype,
        draws=draws,
    )


def _check_fields(own: Architecture, groups: Mapping[str, int]) -> None:
    """Refuses axis names that are not the fields that hold their units."""
    if not groups:
        raise UserError(
            f"{own.name} names no axis that can be cut: name the axes of its parameters by "
            "nn.with_logical_partitioning, or nnx.with_partitioning"
        )
    for name, count in groups.items():
        field = name.split("/")[0]
        if own.fields.get(field) != count:
            raise UserError(
                f"axis name {name!r} ({count} units) must be the {own.word} of {own.name} "
                f"that holds its number of units; it holds {own.fields.get(field, 'nothing')}"
            )


def _narrowed(own: Architecture, kept: Mapping[str, int], exits: int) -> Architecture:
    """Returns the same module with other numbers of units and exits."""
    fields: dict[str, Any] = {}
    for name, count in kept.items():
        field = name.split("/")[0]
        if fields.setdefault(field, count) != count:
            raise UserError(f"groups of the field {field!r} keep different units: {dict(kept)}")
    if "exits" in own.fields:
        fields["exits"] = exits
    return own.with_fields(fields)


def _deployed(
    own: Architecture, kept: Mapping[str, int], exits: int, width: float, params: Params
) -> Any:
    """Returns the narrow module, which needs no context."""
    narrow = _narrowed(own, kept, exits)
    # An integer `width` is a number of units, or has another meaning.
    if isinstance(own.fields.get("width"), float):
        narrow = narrow.with_fields({"width": width})
    return narrow.deployed(params)


def _depths(own: Architecture, num_exits: int, inputs: Inputs, shapes: PyTree) -> PyTree:
    """Finds the first exit that uses each parameter: a shallower module does not build it."""
    flat = flax.traverse_util.flatten_dict(shapes)
    depths = dict.fromkeys(flat, num_exits)
    for exits in range(num_exits - 1, 0, -1):
        shallow, _ = own.with_fields({"exits": exits}).parameters(inputs)
        for path in flax.traverse_util.flatten_dict(shallow):
            depths[path] = exits
    return flax.traverse_util.unflatten_dict(depths)


def cast(tree: PyTree, dtype: Any) -> PyTree:
    """Converts floats to a type; keys and integers stay."""

    def convert(leaf: Any) -> Any:
        kind = getattr(leaf, "dtype", np.result_type(type(leaf)))
        return jnp.asarray(leaf, dtype) if jnp.issubdtype(kind, jnp.floating) else leaf

    return tree if dtype == jnp.float32 else jax.tree.map(convert, tree)


def outputs_of(output: Any, dtype: Any) -> tuple[Any, ...]:
    """Returns what a module returned for each exit, logits in float32.

    Args:
      output: logits or a linear head; a tuple of them for several exits.
      dtype: type in which it was computed.

    Returns:
      A tuple. A deferred head computes its products in the model's type.
    """
    every = output if isinstance(output, tuple) else (output,)
    return tuple(
        each if isinstance(each, LinearHead) or dtype == jnp.float32 else cast_back(each)
        for each in every
    )


def cast_back(tree: PyTree) -> PyTree:
    """Converts floats of any type to float32."""

    def convert(leaf: jax.Array) -> jax.Array:
        return leaf.astype(jnp.float32) if jnp.issubdtype(leaf.dtype, jnp.floating) else leaf

    return jax.tree.map(convert, tree)


def _training_step(own: Architecture, shapes: PyTree, inputs: Inputs) -> tuple[PyTree, bool]:
    """Returns the shapes of the module's moments, and whether a training step reads its key."""

    def step(params: Params, inputs: Any, key: jax.Array) -> tuple[tuple[Any, ...], PyTree]:
        return own.run(jnp.float32, params, inputs, Context(train=True, key=key))

    trace = jax.make_jaxpr(step, return_shape=True)
    closed, (_, moments) = own.traced(lambda: trace(shapes, inputs, jax.random.key(0)))
    for layer, times in layers_that_drop(closed.jaxpr).items():
        if times > 1:
            raise UserError(
                f"{own.name} drops units {times} times as layer {layer!r}, always the same ones: "
                "give each place a `Dropout` of its own, or a `layer` of its own to `drop`"
            )
    _, used = partial_eval.dce_jaxpr(closed.jaxpr, [True] * len(closed.jaxpr.outvars))
    return moments, used[-1]


def _check_narrow(
    narrow: Architecture, inputs: Inputs, shapes: PyTree, axes: PyTree, kept: Mapping[str, int]
) -> None:
    """Refuses a module whose narrow parameters do not have the shapes of their axis names."""
    try:
        actual, _ = narrow.parameters(inputs)
    except (TypeError, ValueError, ZeroDivisionError, flax.errors.FlaxError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{narrow.name} does not run with {dict(kept)} units: {reason} (a norm over channels "
            "that are cut must be hasa_jax.models.layers.Norm)"
        ) from None

    def compare(path, names, full, leaf):
        expected = units.narrow_shape(names, full.shape, kept)
        if expected != leaf.shape:
            where = jax.tree_util.keystr(path, simple=True, separator="/")
            raise UserError(
                f"parameter {where} with axis names {names} should have shape {expected} in a "
                f"subnet of {dict(kept)} units but has {leaf.shape}: name its cut axes"
            )

    jax.tree_util.tree_map_with_path(compare, axes, shapes, actual, is_leaf=units.is_names)


def no_dropout(name: str, kind: str) -> str:
    """Says why a library's own dropout is refused.

    Args:
      name: of the module.
      kind: the library's class.

    Returns:
      The message.
    """
    return (
        f"{name} draws random numbers by {kind}, whose mask of a narrow subnet is not a part of "
        "the supernet's: use `drop` or `Dropout` of hasa_jax.models.layers"
    )
