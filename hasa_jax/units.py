"""Unit groups: from ranks and sizes to masks, gathers and scatters of a subnet.

Every axis of every parameter carries a logical name or `None`. Axes of one name form a
*unit group*: they share one choice of units. A subnet of `k` units keeps, in each group,
the units of rank below `k`. Nothing here knows an architecture.

`params`, `shapes` and `axes` are trees of one structure; a leaf of `axes` is a tuple of
names, one for each axis of the parameter.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree, UserError

Sizes = Mapping[str, int]
"""Units kept in every group."""


def is_names(leaf: object) -> bool:
    """Tells whether a node of an axes tree is a leaf (a tuple of names)."""
    return isinstance(leaf, tuple)


def map_with_axes(function: Callable[..., Any], axes: PyTree, *trees: PyTree) -> PyTree:
    """Maps `function(names, *leaves)` over an axes tree and trees of its structure."""
    return jax.tree.map(function, axes, *trees, is_leaf=is_names)


def group_sizes(shapes: PyTree, axes: PyTree) -> dict[str, int]:
    """Reads the size of every unit group off the parameters.

    Args:
      shapes: tree whose leaves have a `shape`.
      axes: tree of axis names.

    Returns:
      `{group: U}`, sorted by name.

    Raises:
      UserError: if a leaf lacks a name for an axis, or a name stands on axes of unequal size.
    """
    sizes: dict[str, int] = {}

    def visit(path, names, leaf):
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        if len(names) != len(leaf.shape):
            raise UserError(
                f"parameter {where} has {len(leaf.shape)} axes but {len(names)} axis names {names}"
            )
        for name, size in zip(names, leaf.shape, strict=True):
            if name is not None and sizes.setdefault(name, size) != size:
                raise UserError(
                    f"parameter {where}: an axis of unit group {name!r} has {size} units, "
                    f"another has {sizes[name]}; give the axes different names"
                )

    jax.tree_util.tree_map_with_path(visit, axes, shapes, is_leaf=is_names)
    return dict(sorted(sizes.items()))


def sizes_of_units(groups: Sizes, units: int) -> dict[str, int]:
    """Returns the units that each group keeps when the largest group keeps `units`.

    A group of U units keeps `ceil(U * units / H)`, H being the largest group: integer
    arithmetic, so no binary fraction can add a unit.

    Args:
      groups: full sizes.
      units: units kept in the largest group, in [1, H].

    Returns:
      `{group: units kept}`.
    """
    finest = max(groups.values())
    return {name: -(-size * units // finest) for name, size in groups.items()}


def narrow_shape(names: tuple, shape: tuple[int, ...], sizes: Sizes) -> tuple[int, ...]:
    """Returns the shape that a parameter has in a subnet of the given sizes."""
    return tuple(
        dim if name is None else sizes[name] for name, dim in zip(names, shape, strict=True)
    )


def masks(shapes: PyTree, axes: PyTree, ranks: Mapping, sizes: Mapping) -> PyTree:
    """Builds 0/1 masks of the coordinates that a subnet holds.

    Args:
      shapes: full-width parameters (or their shapes).
      axes: tree of axis names.
      ranks: `{group: rank [U]}`.
      sizes: `{group: k}`; traced values are allowed.

    Returns:
      Float masks; an axis that is never cut has size 1, so they broadcast to the parameters.
    """
    kept = {group: (ranks[group] < sizes[group]).astype(jnp.float32) for group in ranks}

    def mask(names, leaf):
        ndim = len(leaf.shape)
        product = jnp.ones((1,) * ndim, jnp.float32)
        for axis, name in enumerate(names):
            if name is not None:
                shape = tuple(-1 if other == axis else 1 for other in range(ndim))
                product = product * kept[name].reshape(shape)
        return product

    return map_with_axes(mask, axes, shapes)


def gather(params: Params, axes: PyTree, ranks: Mapping, sizes: Sizes) -> Params:
    """Extracts a subnet: truly narrow parameters, unit of rank j at position j.

    Args:
      params: full-width parameters.
      axes: tree of axis names.
      ranks: `{group: rank [U]}`.
      sizes: `{group: k}`, concrete.

    Returns:
      Parameters with `k` units along every axis of a group.
    """
    chosen = {group: jnp.argsort(ranks[group])[: sizes[group]] for group in ranks}

    def take(names, leaf):
        for axis, name in enumerate(names):
            if name is not None:
                leaf = jnp.take(leaf, chosen[name], axis=axis, indices_are_sorted=False)
        return leaf

    return map_with_axes(take, axes, params)


def scatter(narrow: Params, axes: PyTree, ranks: Mapping) -> Params:
    """Puts a subnet's values back into supernet coordinates, zero elsewhere.

    The unit of rank r stands at position r of the subnet, and a rank beyond its size is out
    of bounds: a gather *by rank* with zero fill is the scatter.

    Args:
      narrow: parameters of a subnet as `gather` lays them out.
      axes: tree of axis names.
      ranks: `{group: rank [U]}`.

    Returns:
      Full-width parameters.
    """

    def put(names, leaf):
        for axis, name in enumerate(names):
            if name is not None:
                leaf = jnp.take(leaf, ranks[name], axis=axis, mode="fill", fill_value=0)
        return leaf

    return map_with_axes(put, axes, narrow)
