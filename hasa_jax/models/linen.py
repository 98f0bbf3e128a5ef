"""Turns a flax.linen module with named axes into a supernet."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Mapping
from typing import Any

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax import units
from hasa_jax.base import ApplyFn, Model, Params, PyTree, UserError


def from_linen(module: nn.Module, example: jax.Array | np.ndarray) -> Model:
    """Makes a supernet of any linen module whose parameters name their axes.

    Give each parameter's initializer its axis names by `nn.with_logical_partitioning(init,
    names)`, where a name is a *field of the module* that holds the number of units, and
    `None` marks an axis that is never cut. The narrow subnet is then the same module with
    smaller fields: `module.clone(hidden=k)`. A parameter without names is never cut.

    `__call__` takes the inputs `[B, ...]`; if it also has parameters named `width` (fraction
    of units kept) or `train`, it is given them.

    Args:
      module: the module at full width.
      example: inputs of any batch size `[B, ...]`; only shape and dtype are used.

    Returns:
      The supernet.

    Raises:
      UserError: if an axis name is no field of the module, the named axes do not explain the
        parameter shapes of a narrower module, or the module keeps state or draws randomness.
    """
    inputs = jax.ShapeDtypeStruct((1, *example.shape[1:]), example.dtype)

    def init_boxed(key: jax.Array) -> PyTree:
        zeros = jnp.zeros(inputs.shape, inputs.dtype)
        return module.init(key, zeros, **_keywords(module, width=1.0, train=False))

    boxed = jax.eval_shape(init_boxed, jax.random.key(0))
    if set(boxed) != {"params"}:
        others = ", ".join(sorted(set(boxed) - {"params"})) or "no parameters"
        raise UserError(
            f"{type(module).__name__} has the collections [{others}]; only params are supported"
        )
    shapes = nn.meta.unbox(boxed)["params"]
    specs = nn.get_partition_spec(boxed)["params"]
    axes = jax.tree.map(
        lambda spec, leaf: tuple(spec) or (None,) * len(leaf.shape),
        specs,
        shapes,
        is_leaf=lambda leaf: isinstance(leaf, jax.sharding.PartitionSpec),
    )
    groups = units.group_sizes(shapes, axes)
    if not groups:
        raise UserError(f"{type(module).__name__} names no axis that can be cut")
    for name, size in groups.items():
        if getattr(module, name, None) != size:
            raise UserError(
                f"axis name {name!r} ({size} units) must be a field of {type(module).__name__} "
                f"that holds its number of units; it holds {getattr(module, name, 'nothing')}"
            )

    def narrow(sizes: Mapping[str, int]) -> ApplyFn:
        return _apply_fn(_narrowed(module, sizes))

    half = {name: -(-size // 2) for name, size in groups.items()}
    _check_narrow(_narrowed(module, half), inputs, shapes, axes, half)
    try:
        jax.eval_shape(lambda p, x: _apply_fn(module)(p, x, width=1.0, train=True), shapes, inputs)
    except flax.errors.InvalidRngError:
        raise UserError(
            f"{type(module).__name__} draws random numbers while training (dropout?): modules "
            "must be deterministic"
        ) from None
    return Model(
        init=lambda key: nn.meta.unbox(init_boxed(key))["params"],
        apply=_apply_fn(module),
        narrow=narrow,
        shapes=shapes,
        axes=axes,
        groups=groups,
        input_shape=inputs.shape[1:],
        input_dtype=inputs.dtype,
    )


def _narrowed(module: nn.Module, sizes: Mapping[str, int]) -> nn.Module:
    """Returns the same module with other numbers of units."""
    fields: dict[str, Any] = dict(sizes)
    return module.clone(**fields)


def _keywords(module: nn.Module, *, width: float | jax.Array, train: bool) -> dict[str, Any]:
    """Returns those of `width` and `train` that the module's `__call__` asks for."""
    wanted = inspect.signature(type(module).__call__).parameters
    offered = {"width": width, "train": train}
    return {name: value for name, value in offered.items() if name in wanted}


def _apply_fn(module: nn.Module) -> ApplyFn:
    """Returns the module's forward pass, giving it the keywords that it asks for."""

    def apply(
        params: Params, inputs: jax.Array, *, width: float | jax.Array, train: bool
    ) -> jax.Array:
        keywords = _keywords(module, width=width, train=train)
        logits: Any = module.apply({"params": params}, inputs, **keywords)
        return logits

    return apply


def _check_narrow(
    module: nn.Module,
    inputs: jax.ShapeDtypeStruct,
    shapes: PyTree,
    axes: PyTree,
    sizes: Mapping[str, int],
) -> None:
    """Refuses a module whose narrow parameters are not what its axis names say."""
    init = functools.partial(module.init, **_keywords(module, width=1.0, train=False))
    actual = nn.meta.unbox(jax.eval_shape(init, jax.random.key(0), inputs))["params"]

    def compare(path, names, full, leaf):
        expected = units.narrow_shape(names, full.shape, sizes)
        if expected != leaf.shape:
            where = jax.tree_util.keystr(path, simple=True, separator="/")
            raise UserError(
                f"parameter {where} with axis names {names} should have shape {expected} in a "
                f"subnet of {dict(sizes)} units but has {leaf.shape}: name its cut axes"
            )

    jax.tree_util.tree_map_with_path(compare, axes, shapes, actual, is_leaf=units.is_names)
