"""Unit groups: from ranks and kept units to masks, gathers and scatters of a subnet.

Every axis of every parameter carries a logical name or `None`. The axes of one name form a
*unit group*: they share one choice of units. In each group a subnet keeps the units whose rank
is below the number that it keeps there. The names in `LABEL_AXES` belong to no group. This
module depends on no architecture.

`params`, `shapes` and `axes` are trees of one structure. A leaf of `axes` is a tuple with a
name for each axis of the parameter.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.supernet.types import Drawn, Extraction, Kept, Model, OrderFn, Shape

LABEL_AXES = ("classes", "tokens")
"""Names of axes with one entry for each class or token of the data. They are never cut."""


def is_names(leaf: object) -> bool:
    """Returns whether a node of an axes tree is a leaf (a tuple of names)."""
    return isinstance(leaf, tuple)


def map_with_axes(function: Callable[..., Any], axes: PyTree, *trees: PyTree) -> PyTree:
    """Maps `function(names, *leaves)` over an axes tree and trees of its structure."""
    return jax.tree.map(function, axes, *trees, is_leaf=is_names)


def read_groups(shapes: PyTree, axes: PyTree) -> dict[str, int]:
    """Reads the units of every group off the parameters.

    Args:
      shapes: tree whose leaves have a `shape`.
      axes: tree of axis names.

    Returns:
      `{group: U}`, sorted by name.

    Raises:
      UserError: if a leaf lacks a name for an axis, or if axes of one name differ in length.
    """
    groups: dict[str, int] = {}

    def visit(path, names, leaf):
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        if len(names) != len(leaf.shape):
            raise UserError(
                f"parameter {where} has {len(leaf.shape)} axes but {len(names)} axis names {names}"
            )
        for name, units in zip(names, leaf.shape, strict=True):
            if name in (None, *LABEL_AXES):
                continue
            if groups.setdefault(name, units) != units:
                few, many = sorted((units, groups[name]))
                hint = (
                    "; if it is a flattened axis, use nn.DenseGeneral with a name for each axis"
                    if few and not many % few
                    else ""
                )
                raise UserError(
                    f"parameter {where}: an axis of unit group {name!r} has {units} units, "
                    f"another has {groups[name]}; give the axes different names{hint}"
                )

    jax.tree_util.tree_map_with_path(visit, axes, shapes, is_leaf=is_names)
    return dict(sorted(groups.items()))


def kept_of_size(groups: Mapping[str, int], size: int) -> dict[str, int]:
    """Returns the units that each group keeps in a subnet of `size`.

    A group of U units keeps `ceil(U * size / H)`, where H is the number of units of the largest
    group. The arithmetic is in integers, so no rounding of a binary fraction adds a unit.

    Args:
      groups: units of every group, `{group: U}`.
      size: units kept in the largest group, in [1, H].

    Returns:
      `{group: k}`.
    """
    largest = max(groups.values())
    return {name: -(-units * size // largest) for name, units in groups.items()}


def narrow_shape(names: tuple, shape: tuple[int, ...], kept: Kept) -> tuple[int, ...]:
    """Returns the shape that a parameter has in a subnet that keeps `kept` units."""
    return tuple(kept.get(name, length) for name, length in zip(names, shape, strict=True))


def kept_of_width(groups: Mapping[str, int], width: float) -> dict[str, int]:
    """Returns the units that each group keeps at a published width.

    A group of U units keeps `max(1, ceil(U * width))`, with binary fractions ignored.

    Args:
      groups: units of every group, `{group: U}`.
      width: fraction of units, in (0, 1].

    Returns:
      `{group: k}`.
    """
    return {name: max(1, math.ceil(width * units - 1e-9)) for name, units in groups.items()}


def by_width(model: Model, size: int, levels: Sequence[float] = ()) -> Shape:
    """Returns the shape of the subnet whose largest group keeps `size` units, at full depth.

    A size that is that of a published level keeps `ceil(U level)` of the U units of each group,
    and its width is the level: 13 of 64 units at .2, where the largest group has 96 units and
    keeps 20. Any other size k of H keeps `ceil(U k / H)`, and its width is k / H.

    Args:
      model: the supernet.
      size: units kept in the largest group, in [1, H].
      levels: published widths; of several that have this size, the widest counts.

    Returns:
      The shape.
    """
    own = [level for level in levels if size_of_width(model, level) == size]
    if own:
        width, kept = max(own), kept_of_width(model.groups, max(own))
    else:
        width, kept = size / max(model.groups.values()), kept_of_size(model.groups, size)
    return Shape(width, tuple(kept.items()), model.num_exits)


def width_of(model: Model, kept: Kept) -> jax.Array:
    """Returns the width of a subnet: the fraction of the largest group that it keeps."""
    largest = max(model.groups, key=lambda group: model.groups[group])
    return jnp.asarray(kept[largest], jnp.float32) / model.groups[largest]


def draw_kept(key: jax.Array, model: Model, levels: Sequence[float], own: Drawn) -> Drawn:
    """Draws, uniformly, what one step of ordered dropout keeps.

    The choice is between the levels below the width of the client's subnet, and that width:
    `p ~ U({p in P: p < p_max} + {p_max})`. A group of U units keeps `ceil(U p)`.

    Args:
      key: consumed.
      model: the supernet.
      levels: the widths `P`, rising.
      own: the client's subnet.

    Returns:
      The width, a float32 scalar, and `{group: k}`, int32 scalars.

    References:
      FjORD, arXiv 2102.13451.
    """
    narrower = [kept_of_width(model.groups, level) for level in levels]
    largest = max(model.groups, key=lambda group: model.groups[group])
    choices = sum(jnp.int32(kept[largest] < own.kept[largest]) for kept in narrower)
    drawn = jax.random.randint(key, (), 0, choices + 1)

    def choose(values: Sequence[Any], last: Any, dtype: Any) -> jax.Array:
        table = jnp.asarray(values, dtype)
        return jnp.where(drawn < choices, table[drawn], jnp.asarray(last, dtype))

    kept = {
        group: choose([units[group] for units in narrower], own.kept[group], jnp.int32)
        for group in own.kept
    }
    return Drawn(choose(levels, own.width, jnp.float32), kept)


def size_of_width(model: Model, width: float) -> int:
    """Returns `max(1, ceil(H width))`, as published methods round, with binary fractions ignored.

    Args:
      model: the supernet; `H` is the number of units of its largest group.
      width: fraction of units, in (0, 1].

    Returns:
      The size, in [1, H].
    """
    return max(kept_of_width(model.groups, width).values())


def ranked(
    order: OrderFn,
    *,
    levels: Sequence[float] = (),
    by_size: bool = False,
    name: str = "custom",
) -> Extraction:
    """Makes an extraction that cuts the width only.

    Args:
      order: ranks units.
      levels: published widths of the clients; see `by_width`.
      by_size: whether all clients of a round have the same ranks.
      name: its name in a table of extractions.

    Returns:
      The extraction.

    Raises:
      UserError: if a level is not in (0, 1].
    """
    return Extraction(shape=shape_of_levels(levels), order=order, by_size=by_size, name=name)


def shape_of_levels(levels: Sequence[float]) -> Callable[[Model, int], Shape]:
    """Returns `by_width` with published widths.

    Args:
      levels: the widths.

    Returns:
      A `shape` of an extraction.

    Raises:
      UserError: if a level is not in (0, 1].
    """
    levels = tuple(float(level) for level in levels)
    if not all(0 < level <= 1 for level in levels):
        raise UserError(f"`levels` must be fractions in (0, 1], not {list(levels)}")
    return functools.partial(by_width, levels=levels) if levels else by_width


def masks(shapes: PyTree, axes: PyTree, ranks: Mapping[str, Any], kept: Kept) -> PyTree:
    """Builds 0/1 masks of the coordinates that a subnet holds.

    Args:
      shapes: full-width parameters (or their shapes).
      axes: tree of axis names.
      ranks: `{group: rank [U]}`.
      kept: `{group: k}`; traced values are allowed.

    Returns:
      Float masks. An axis that is never cut has length 1, so they broadcast to the parameters.
    """
    inside = {group: (ranks[group] < kept[group]).astype(jnp.float32) for group in ranks}
    return outer(shapes, axes, inside)


def outer(shapes: PyTree, axes: PyTree, inside: Mapping[str, jax.Array]) -> PyTree:
    """Multiplies 0/1 vectors along the axes of their name into a mask of each parameter.

    Args:
      shapes: parameters (or their shapes).
      axes: tree of axis names.
      inside: `{name: 0/1 [U]}`; axes of other names are not masked.

    Returns:
      Float masks, of length 1 along the other axes.
    """

    def mask(names, leaf):
        ndim = len(leaf.shape)
        product = jnp.ones((1,) * ndim, jnp.float32)
        for axis, name in enumerate(names):
            if name in inside:
                shape = tuple(-1 if other == axis else 1 for other in range(ndim))
                product = product * inside[name].reshape(shape)
        return product

    return map_with_axes(mask, axes, shapes)


def gather(params: Params, axes: PyTree, ranks: Mapping[str, Any], kept: Kept) -> Params:
    """Extracts a subnet: truly narrow parameters, with the unit of rank j at position j.

    Args:
      params: full-width parameters.
      axes: tree of axis names.
      ranks: `{group: rank [U]}`.
      kept: `{group: k}`, concrete.

    Returns:
      Parameters with `k` units along every axis of a group.
    """
    slices = {group for group in ranks if _in_order(ranks[group])}
    chosen = {group: jnp.argsort(ranks[group])[: kept[group]] for group in {*ranks} - slices}

    def take(names, leaf):
        for axis, name in enumerate(names):
            if name in slices:
                leaf = jax.lax.slice_in_dim(leaf, 0, kept[name], axis=axis)
            elif name in chosen:
                leaf = jnp.take(leaf, chosen[name], axis=axis, indices_are_sorted=False)
        return leaf

    return map_with_axes(take, axes, params)


def places(ranks: Mapping[str, Any], kept: Kept) -> dict[str, Any]:
    """Returns where the units of a subnet stand in the supernet, in the order of `gather`.

    Args:
      ranks: `{group: rank [U]}`.
      kept: `{group: k}`, concrete.

    Returns:
      `{group: position [k]}`, int32.
    """
    return {
        group: jnp.argsort(jnp.asarray(rank))[: kept[group]].astype(jnp.int32)
        for group, rank in ranks.items()
    }


def scatter(narrow: Params, axes: PyTree, ranks: Mapping[str, Any]) -> Params:
    """Puts a subnet's values back into the coordinates of the supernet; others are zero.

    The unit of rank r is at position r of the subnet, and a rank beyond its units is out of
    bounds. The scatter is therefore a gather *by rank* that fills with zeros.

    Args:
      narrow: parameters of a subnet, in the order of `gather`.
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
    """Returns whether ranks are constants that keep the units in their order."""
    return isinstance(rank, np.ndarray) and np.array_equal(rank, np.arange(len(rank)))
