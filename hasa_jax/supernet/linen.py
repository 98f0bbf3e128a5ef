"""Turns a flax.linen module with named axes into a supernet."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import flax.errors
import flax.linen as nn
import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import ApplyFn, Context, Model


def from_linen(
    module: nn.Module, example: jax.Array | np.ndarray, dtype: Any = jnp.float32
) -> Model:
    """Makes a supernet of any linen module whose parameters name their axes.

    Give each parameter's initializer its axis names by `nn.with_logical_partitioning(init,
    names)`. An axis name is the module field that holds its number of units, so that the same
    class builds every narrower network; `field/anything` is a unit group of its own with the
    same number. `classes` and `tokens` name axes with a row for each class or token, which are
    never cut. If `__call__` has an argument `context`, it is given the `Context`. A module with
    early exits has a field `exits`, builds that many, and returns a tuple of logits.

    Args:
      module: the module at full size.
      example: inputs of any batch size `[B, ...]`; only shape and dtype are used.
      dtype: type in which the forward and backward pass compute; parameters, losses and
        optimizers are float32 whatever it is.

    Returns:
      The supernet.

    Raises:
      UserError: if an axis name is no field of the module, the named axes do not explain the
        parameter shapes of a narrower module, or the module keeps state or draws randomness.
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

    def narrow(kept: Mapping[str, int], exits: int) -> ApplyFn:
        return _apply_fn(_narrowed(module, kept, exits), dtype)

    half = {name: -(-size // 2) for name, size in groups.items()}
    _check_narrow(_narrowed(module, half, num_exits), inputs, shapes, axes, half)

    def init(key: jax.Array) -> Params:
        zeros = jnp.zeros(inputs.shape, inputs.dtype)
        return nn.meta.unbox(module.init(key, zeros, **_context(module, Context())))["params"]

    return Model(
        init=init,
        apply=_apply_fn(module, dtype),
        narrow=narrow,
        shapes=shapes,
        axes=axes,
        depths=_depths(module, num_exits, inputs, shapes),
        groups=groups,
        num_exits=num_exits,
        moments=_abstract_moments(module, shapes, inputs),
        picks_positions=_picks_positions(module, shapes, inputs),
        input_shape=inputs.shape[1:],
        input_dtype=inputs.dtype,
    )


def _context(module: nn.Module, context: Context) -> dict[str, Any]:
    """Returns the context as a keyword, if the module's `__call__` asks for it."""
    wanted = "context" in inspect.signature(type(module).__call__).parameters
    return {"context": context} if wanted else {}


def _abstract_variables(module: nn.Module, inputs: jax.ShapeDtypeStruct) -> PyTree:
    """Returns shapes of the parameters, in their boxes of axis names."""
    init = functools.partial(module.init, **_context(module, Context()))
    boxed = jax.eval_shape(init, jax.random.key(0), inputs)
    others = ", ".join(sorted(set(boxed) - {"params", "batch_moments"}))
    if others or "params" not in boxed:
        raise UserError(
            f"{type(module).__name__} has the collections [{others or 'no parameters'}]; only "
            "params are supported"
        )
    return boxed


def _check_fields(module: nn.Module, groups: Mapping[str, int]) -> None:
    """Refuses axis names that do not say which field sizes them."""
    if not groups:
        raise UserError(f"{type(module).__name__} names no axis that can be cut")
    for name, size in groups.items():
        field = name.split("/")[0]
        if getattr(module, field, None) != size:
            raise UserError(
                f"axis name {name!r} ({size} units) must be a field of {type(module).__name__} "
                f"that holds its number of units; it holds {getattr(module, field, 'nothing')}"
            )


def _narrowed(module: nn.Module, sizes: Mapping[str, int], exits: int) -> nn.Module:
    """Returns the same module with other numbers of units and exits."""
    fields: dict[str, Any] = {}
    for name, size in sizes.items():
        field = name.split("/")[0]
        if fields.setdefault(field, size) != size:
            raise UserError(f"groups of the field {field!r} have different sizes: {dict(sizes)}")
    if hasattr(module, "exits"):
        fields["exits"] = exits
    return module.clone(**fields)


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
    """Returns the module's forward pass in a type, giving it the context if it asks for it."""

    def cast(tree: PyTree, to: Any) -> PyTree:
        def convert(leaf: Any) -> Any:
            floating = jnp.issubdtype(jnp.result_type(leaf), jnp.floating)
            return jnp.asarray(leaf, to) if floating else leaf

        return tree if dtype == jnp.float32 else jax.tree.map(convert, tree)

    def apply(
        params: Params, inputs: Any, context: Context, moments: PyTree | None = None
    ) -> tuple[tuple[jax.Array, ...], PyTree]:
        variables = (
            {"params": params} if moments is None else {"params": params, "moments": moments}
        )
        variables, inputs, context = cast((variables, inputs, context), dtype)
        output, state = module.apply(
            variables, inputs, **_context(module, context), mutable=["batch_moments"]
        )
        logits: Any = output if isinstance(output, tuple) else (output,)
        return cast((logits, state.get("batch_moments", {})), jnp.float32)

    return apply


def _abstract_moments(module: nn.Module, shapes: PyTree, inputs: jax.ShapeDtypeStruct) -> PyTree:
    """Returns the shapes of the module's moments, after a training step in the abstract."""
    try:
        step = functools.partial(_apply_fn(module), context=Context(train=True))
        return jax.eval_shape(step, shapes, inputs)[1]
    except flax.errors.InvalidRngError:
        raise UserError(
            f"{type(module).__name__} draws random numbers while training (dropout?): modules "
            "must be deterministic"
        ) from None


def _picks_positions(module: nn.Module, shapes: PyTree, inputs: jax.ShapeDtypeStruct) -> bool:
    """Tells whether a module of texts, asked for two positions, computes two rows of logits."""
    if not _context(module, Context()):
        return False
    some = Context(wanted=jnp.zeros(2, jnp.int32))
    apply = functools.partial(_apply_fn(module), context=some)
    return all(len(logits.shape) == 2 for logits in jax.eval_shape(apply, shapes, inputs)[0]) and (
        all(logits.shape[0] == 2 for logits in jax.eval_shape(apply, shapes, inputs)[0])
    )


def _check_narrow(
    module: nn.Module,
    inputs: jax.ShapeDtypeStruct,
    shapes: PyTree,
    axes: PyTree,
    sizes: Mapping[str, int],
) -> None:
    """Refuses a module whose narrow parameters are not what its axis names say."""
    actual = nn.meta.unbox(_abstract_variables(module, inputs))["params"]

    def compare(path, names, full, leaf):
        expected = units.narrow_shape(names, full.shape, sizes)
        if expected != leaf.shape:
            where = jax.tree_util.keystr(path, simple=True, separator="/")
            raise UserError(
                f"parameter {where} with axis names {names} should have shape {expected} in a "
                f"subnet of {dict(sizes)} units but has {leaf.shape}: name its cut axes"
            )

    jax.tree_util.tree_map_with_path(compare, axes, shapes, actual, is_leaf=units.is_names)
