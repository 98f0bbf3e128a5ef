"""Turns a flax.linen module with named axes into a supernet."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import flax.errors
import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import FederatedDataset, Params, PyTree, UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.context_argument import context_argument
from hasa_jax.supernet.narrow_trial import tried_sizes, try_narrow
from hasa_jax.supernet.types import ApplyFn, Context, LinearHead, Model, ModelSpec


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
    * The data set sets the fields `num_classes`, `num_tokens` and `max_length` if they are None.
    * `Model.module` sets a field `width` that holds a float: the share of the supernet's units, by
      which a scaler divides when `__call__` receives no context.

    Args:
      module: the module at full size.
      dtype: type in which the forward and backward pass compute. Parameters, losses and
        optimizers are float32 for any type.

    Returns:
      A specification. Its `bind` raises a `UserError` if an axis name is no field of the module,
      if the named axes do not explain the parameter shapes of a narrower module, if the module
      keeps state or draws random numbers, if its logits do not fit the data set, if the method
      has a scaler and the module does not, or if subnets of it compute something else when their
      units are cut out than when the others are set to zero (`narrow_trial.try_narrow`).
    """
    return _LinenSpec(module, dtype)


@dataclasses.dataclass(frozen=True)
class _LinenSpec:
    """A user's module until it is bound."""

    module: nn.Module
    dtype: Any

    def bind(self, dataset: FederatedDataset, *, norm: str, scaler: str) -> Model:
        """Sets the fields that the method and the data set decide, and makes the supernet."""
        names = {field.name for field in dataclasses.fields(self.module)}
        _check_scaler(self.module, names, scaler)
        fields: dict[str, Any] = {"norm": norm, "scaler": scaler}
        fields = {name: value for name, value in fields.items() if name in names}
        fields |= _fields_of_data(self.module, names, dataset)
        module = self.module.clone(**fields)
        model = supernet_of(module, dataset.train.inputs, self.dtype)
        _check_logits(model, type(module).__name__, dataset)
        inputs = jax.ShapeDtypeStruct((1, *model.input_shape), model.input_dtype)
        for size in tried_sizes(model):
            kept = units.kept_of_size(model.groups, size)
            narrow = _narrowed(module, kept, model.num_exits)
            _check_narrow(narrow, inputs, model.shapes, model.axes, kept)
        exact = model if self.dtype == jnp.float32 else supernet_of(module, inputs)
        try_narrow(exact, type(module).__name__, dataset.train.inputs)
        return model


def _check_scaler(module: nn.Module, names: set[str], scaler: str) -> None:
    """Refuses a module that would silently leave out the method's scaler."""
    if scaler == "none" or ("scaler" in names and context_argument(module, Context())):
        return
    missing = "argument `context`" if "scaler" in names else "field `scaler`"
    name = type(module).__name__
    raise UserError(
        f"the method has the `scaler` {scaler}, but {name} has no {missing}: give {name} a field "
        "`scaler` and divide its activations by `context.width`, or use the method without it: "
        'dataclasses.replace(method, scaler="none")'
    )


def _fields_of_data(
    module: nn.Module, names: set[str], dataset: FederatedDataset
) -> dict[str, int]:
    """Returns the fields of the module that are None and that the data set knows."""
    inputs = dataset.train.inputs
    known = {"num_classes": dataset.train.num_classes}
    if dataset.num_tokens:
        known |= {"num_tokens": dataset.num_tokens, "max_length": inputs.shape[1]}
    wanted = names & {"num_classes", "num_tokens", "max_length"}
    wanted = {name for name in wanted if getattr(module, name) is None}
    if unknown := ", ".join(sorted(wanted - {*known})):
        raise UserError(
            f"`model` {type(module).__name__} reads {unknown} from texts, but the inputs of this "
            f"`dataset` are {inputs.dtype} numbers of shape {inputs.shape[1:]}: use texts, or give "
            "the module these fields"
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
      UserError: if an axis name is no field of the module, the named axes do not explain the
        parameter shapes of a narrower module, or the module keeps state or draws random numbers.
    """
    inputs = jax.ShapeDtypeStruct((1, *example.shape[1:]), example.dtype)
    num_exits = getattr(module, "exits", 1)
    if not (isinstance(num_exits, int) and num_exits >= 1):
        raise UserError(f"{type(module).__name__} has {num_exits!r} exits: it needs 1 or more")
    boxed = _abstract_variables(module, inputs)
    shapes = nn.meta.unbox(boxed)["params"]
    axes = jax.tree.map(
        lambda spec, leaf: tuple(spec) or (None,) * len(leaf.shape),
        nn.get_partition_spec(boxed)["params"],
        shapes,
        is_leaf=lambda leaf: isinstance(leaf, jax.sharding.PartitionSpec),
    )
    groups = units.read_groups(shapes, axes)
    _check_fields(module, groups)
    half = {name: -(-count // 2) for name, count in groups.items()}
    _check_narrow(_narrowed(module, half, num_exits), inputs, shapes, axes, half)
    return Model(
        init=functools.partial(_init, module, inputs),
        apply=_apply_fn(module, dtype),
        narrow=lambda kept, exits: _apply_fn(_narrowed(module, kept, exits), dtype),
        module=functools.partial(_deployed, module),
        resized=lambda kept: supernet_of(_narrowed(module, kept, num_exits), inputs, dtype),
        shapes=shapes,
        axes=axes,
        depths=_depths(module, num_exits, inputs, shapes),
        groups=groups,
        num_exits=num_exits,
        moments=_abstract_moments(module, shapes, inputs),
        input_shape=inputs.shape[1:],
        input_dtype=inputs.dtype,
    )


def _init(module: nn.Module, inputs: jax.ShapeDtypeStruct, key: jax.Array) -> Params:
    """Initialises the parameters, without the boxes of their axis names."""
    zeros = jnp.zeros(inputs.shape, inputs.dtype)
    return nn.meta.unbox(module.init(key, zeros, **context_argument(module, Context())))["params"]


def _abstract_variables(module: nn.Module, inputs: jax.ShapeDtypeStruct) -> PyTree:
    """Returns shapes of the parameters, in the boxes of their axis names."""
    init = functools.partial(module.init, **context_argument(module, Context()))
    boxed = jax.eval_shape(init, jax.random.key(0), inputs)
    others = ", ".join(sorted(set(boxed) - {"params", "batch_moments"}))
    if others or "params" not in boxed:
        raise UserError(
            f"{type(module).__name__} has the collections [{others or 'no parameters'}]; only "
            "params are supported"
        )
    return boxed


def _check_fields(module: nn.Module, groups: Mapping[str, int]) -> None:
    """Refuses axis names that are not the fields that hold their units."""
    if not groups:
        raise UserError(f"{type(module).__name__} names no axis that can be cut")
    for name, count in groups.items():
        field = name.split("/")[0]
        if getattr(module, field, None) != count:
            raise UserError(
                f"axis name {name!r} ({count} units) must be a field of {type(module).__name__} "
                f"that holds its number of units; it holds {getattr(module, field, 'nothing')}"
            )


def _narrowed(module: nn.Module, kept: Mapping[str, int], exits: int) -> nn.Module:
    """Returns the same module with other numbers of units and exits."""
    fields: dict[str, Any] = {}
    for name, count in kept.items():
        field = name.split("/")[0]
        if fields.setdefault(field, count) != count:
            raise UserError(f"groups of the field {field!r} keep different units: {dict(kept)}")
    if hasattr(module, "exits"):
        fields["exits"] = exits
    return module.clone(**fields)


def _deployed(module: nn.Module, kept: Mapping[str, int], exits: int, width: float) -> nn.Module:
    """Returns the narrow module, which needs no context."""
    narrow = _narrowed(module, kept, exits)
    # An integer `width` is a number of units, or has another meaning.
    return (
        narrow.clone(width=width) if isinstance(getattr(module, "width", None), float) else narrow
    )


def _depths(
    module: nn.Module, num_exits: int, inputs: jax.ShapeDtypeStruct, shapes: PyTree
) -> PyTree:
    """Finds the first exit that uses each parameter: a shallower module does not build it."""
    flat = flax.traverse_util.flatten_dict(shapes)
    depths = dict.fromkeys(flat, num_exits)
    for exits in range(num_exits - 1, 0, -1):
        fields: dict[str, Any] = {"exits": exits}
        shallow = _abstract_variables(module.clone(**fields), inputs)["params"]
        for path in flax.traverse_util.flatten_dict(nn.meta.unbox(shallow)):
            depths[path] = exits
    return flax.traverse_util.unflatten_dict(depths)


def _apply_fn(module: nn.Module, dtype: Any = jnp.float32) -> ApplyFn:
    """Returns the module's forward pass in a type; it receives the context if it wants it."""

    def cast(tree: PyTree, to: Any) -> PyTree:
        def convert(leaf: Any) -> Any:
            floating = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
            return jnp.asarray(leaf, to) if floating else leaf

        return tree if dtype == jnp.float32 else jax.tree.map(convert, tree)

    def apply(
        params: Params, inputs: Any, context: Context, moments: PyTree | None = None
    ) -> tuple[tuple[Any, ...], PyTree]:
        variables = (
            {"params": params} if moments is None else {"params": params, "moments": moments}
        )
        variables, inputs, context = cast((variables, inputs, context), dtype)
        output, state = module.apply(
            variables, inputs, **context_argument(module, context), mutable=["batch_moments"]
        )
        outputs: Any = output if isinstance(output, tuple) else (output,)
        # A deferred head computes its products in the model's type.
        outputs = tuple(
            each if isinstance(each, LinearHead) else cast(each, jnp.float32) for each in outputs
        )
        return outputs, cast(state.get("batch_moments", {}), jnp.float32)

    return apply


def _abstract_moments(module: nn.Module, shapes: PyTree, inputs: jax.ShapeDtypeStruct) -> PyTree:
    """Returns the shapes of the module's moments, by tracing a training step."""
    try:
        step = functools.partial(_apply_fn(module), context=Context(train=True))
        return jax.eval_shape(step, shapes, inputs)[1]
    except flax.errors.InvalidRngError:
        raise UserError(
            f"{type(module).__name__} draws random numbers while training (dropout?): modules "
            "must be deterministic"
        ) from None


def _check_narrow(
    module: nn.Module,
    inputs: jax.ShapeDtypeStruct,
    shapes: PyTree,
    axes: PyTree,
    kept: Mapping[str, int],
) -> None:
    """Refuses a module whose narrow parameters do not have the shapes of their axis names."""
    try:
        actual = nn.meta.unbox(_abstract_variables(module, inputs))["params"]
    except (TypeError, ValueError, ZeroDivisionError, flax.errors.FlaxError) as error:
        reason = str(error).strip().split("\n")[0]
        raise UserError(
            f"{type(module).__name__} does not run with {dict(kept)} units: {reason}"
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
