"""Unit groups: from ranks and sizes to masks, gathers and scatters of a subnet.

Every axis of every parameter carries a logical name or `None`. Axes of one name form a
*unit group*: they share one choice of units. A subnet of `k` units keeps, in each group,
the units of rank below `k`. Two names are of axes with a row for each class or token, which
belong to no group. Nothing here knows an architecture.

`params`, `shapes` and `axes` are trees of one structure; a leaf of `axes` is a tuple of
names, one for each axis of the parameter.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import Params, PyTree, Shape, UserError
from hasa_jax.supernet.types import Extraction, Model, OrderFn, Sizes

ROW_AXES = ("classes", "tokens")
"""Names of axes with a row for each class or token of the data: named, but never cut."""


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
            if name in (None, *ROW_AXES):
                continue
            if sizes.setdefault(name, size) != size:
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
    return tuple(sizes.get(name, dim) for name, dim in zip(names, shape, strict=True))


def by_width(model: Model, kept: int) -> Shape:
    """Returns the shape of the subnet whose largest group keeps `kept` units, at full depth."""
    width = kept / max(model.groups.values())
    return Shape(width, tuple(sizes_of_units(model.groups, kept).items()), model.num_exits)


def width_of(model: Model, sizes: Sizes) -> jax.Array:
    """Returns the width that sizes come to: the fraction kept of the largest group."""
    finest = max(model.groups, key=lambda group: model.groups[group])
    return jnp.asarray(sizes[finest], jnp.float32) / model.groups[finest]


def draw_sizes(key: jax.Array, model: Model, levels: Sequence[float], own: Sizes) -> Sizes:
    """Draws the sizes of one step of ordered dropout, uniformly.

    The choice is between the levels that are narrower than the client's subnet, and the whole
    subnet: `p ~ U({p in P: p < p_max} + {p_max})`.

    Args:
      key: consumed.
      model: the supernet.
      levels: the widths `P`, rising.
      own: sizes of the client's subnet.

    Returns:
      `{group: k}`, int32 scalars.

    References:
      FjORD, arXiv 2102.13451.
    """
    shapes = [dict(by_width(model, units_of_width(model, level)).sizes) for level in levels]
    finest = max(model.groups, key=lambda group: model.groups[group])
    narrower = sum(jnp.int32(sizes[finest] < own[finest]) for sizes in shapes)
    drawn = jax.random.randint(key, (), 0, narrower + 1)

    def choose(group: str) -> jax.Array:
        table = jnp.array([sizes[group] for sizes in shapes], jnp.int32)
        return jnp.where(drawn < narrower, table[drawn], jnp.int32(own[group]))

    return {group: choose(group) for group in own}


def units_of_width(model: Model, width: float) -> int:
    """Returns `max(1, ceil(width H))`, free of binary fractions, as published methods round."""
    return max(1, math.ceil(width * max(model.groups.values()) - 1e-9))


def ranked(order: OrderFn, *, by_size: bool = False) -> Extraction:
    """Makes an extraction that cuts widths alone.

    Args:
      order: ranks units.
      by_size: whether it ranks them alike for all clients of a round.

    Returns:
      The extraction.
    """
    return Extraction(shape=by_width, order=order, by_size=by_size)


def masks(shapes: PyTree, axes: PyTree, ranks: Mapping, sizes: Sizes) -> PyTree:
    """Builds 0/1 masks of the coordinates that a subnet holds.

    Args:
      shapes: full-width parameters (or their shapes).
      axes: tree of axis names.
      ranks: `{group: rank [U]}`.
      sizes: `{group: k}`; traced values are allowed.

    Returns:
      Float masks; an axis that is never cut has size 1, so they broadcast to the parameters.
    """
    return outer(
        shapes,
        axes,
        {group: (ranks[group] < sizes[group]).astype(jnp.float32) for group in ranks},
    )


def outer(shapes: PyTree, axes: PyTree, kept: Mapping) -> PyTree:
    """Multiplies 0/1 vectors along the axes of their name into a mask of each parameter.

    Args:
      shapes: parameters (or their shapes).
      axes: tree of axis names.
      kept: `{name: 0/1 [U]}`; axes of other names are kept whole.

    Returns:
      Float masks, of size 1 along the other axes.
    """

    def mask(names, leaf):
        ndim = len(leaf.shape)
        product = jnp.ones((1,) * ndim, jnp.float32)
        for axis, name in enumerate(names):
            if name in kept:
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
    slices = {group for group in ranks if _in_order(ranks[group])}
    chosen = {group: jnp.argsort(ranks[group])[: sizes[group]] for group in {*ranks} - slices}

    def take(names, leaf):
        for axis, name in enumerate(names):
            if name in slices:
                leaf = jax.lax.slice_in_dim(leaf, 0, sizes[name], axis=axis)
            elif name in chosen:
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
    slices = {group for group in ranks if _in_order(ranks[group])}

    def put(names, leaf):
        for axis, name in enumerate(names):
            if name in slices:
                missing = len(ranks[name]) - leaf.shape[axis]
                padding = [(0, missing if other == axis else 0, 0) for other in range(leaf.ndim)]
                leaf = jax.lax.pad(leaf, jnp.zeros((), leaf.dtype), padding)
            elif name in ranks:
                leaf = jnp.take(leaf, ranks[name], axis=axis, mode="fill", fill_value=0)
        return leaf

    return map_with_axes(put, axes, narrow)


def _in_order(rank: Any) -> bool:
    """Tells whether ranks are constants that leave units where they are."""
    return isinstance(rank, np.ndarray) and np.array_equal(rank, np.arange(len(rank)))
