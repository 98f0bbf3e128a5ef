"""Groups of single parameters: their names, counts, and the order within a group.

They are what unit groups are to extractions of units. A tree of groups is shaped like the
params and has a name for each leaf; leaves of one name share a threshold.
"""

from __future__ import annotations

import functools
import math

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.supernet import costs, units
from hasa_jax.supernet.types import Kept, Model, ParameterMask, Shape

THRESHOLDS = ("model", "stage", "layer")
"""What makes a group: the model; top-level modules whose names share their first two words, such
as `stage_1_block_1` and `stage_1_block_2`; or each array."""

UNCUT = ""
"""The name of parameters that belong to no group: they are in every subnet."""


def check_threshold(threshold: str) -> None:
    """Refuses names that are not in `THRESHOLDS` with a `UserError`."""
    if threshold not in THRESHOLDS:
        known = ", ".join(THRESHOLDS)
        raise UserError(f"unknown threshold {threshold!r}: use one of {known}")


def name_groups(model: Model, threshold: str) -> PyTree:
    """Names the group of every parameter: `UNCUT` for those of norms.

    Args:
      model: the supernet; parameters with `norm` in their path are those of norms.
      threshold: one of `THRESHOLDS`.

    Returns:
      A tree of groups.

    Raises:
      UserError: if all parameters are those of norms.
    """

    def name(path, leaf):
        del leaf
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        if "norm" in where.lower():
            return UNCUT
        stage = "_".join(where.split("/")[0].split("_")[:2])
        return {"model": "model", "stage": stage, "layer": where}[threshold]

    groups = jax.tree_util.tree_map_with_path(name, model.shapes)
    if not any(jax.tree.leaves(groups)):
        raise UserError("every parameter of the model belongs to a norm: there is nothing to cut")
    return groups


@functools.cache
def shape_by_count(model: Model, size: int, threshold: str) -> Shape:
    """Returns what a subnet of single parameters keeps, by the count of the one of `size` units.

    `gamma` is the share of all parameters that `units.by_width` keeps. A group of D parameters
    keeps `floor(gamma D)` of them, one at least. The shape of every size is computed once.

    Args:
      model: the supernet.
      size: units kept in the largest unit group, in [1, H].
      threshold: one of `THRESHOLDS`.

    Returns:
      A shape of full width and depth, whose `kept` counts the parameters of each group.
    """
    count = costs.parameter_count(model, dict(units.by_width(model, size).kept))
    full = costs.parameter_count(model, model.groups)
    totals: dict[str, int] = {}
    groups = jax.tree.leaves(name_groups(model, threshold))
    for name, leaf in zip(groups, jax.tree.leaves(model.shapes), strict=True):
        if name != UNCUT:
            totals[name] = totals.get(name, 0) + math.prod(leaf.shape)
    kept = {name: max(1, total * count // full) for name, total in sorted(totals.items())}
    return Shape(1.0, tuple(kept.items()), model.num_exits)


def join(values: PyTree, groups: PyTree) -> dict[str, jax.Array]:
    """Concatenates the values of every group.

    Args:
      values: shaped like the params.
      groups: tree of groups.

    Returns:
      `{group: [D]}`, in the order of the tree; without `UNCUT`.
    """
    parts: dict[str, list[jax.Array]] = {}
    for name, leaf in zip(jax.tree.leaves(groups), jax.tree.leaves(values), strict=True):
        if name != UNCUT:
            parts.setdefault(name, []).append(leaf.reshape(-1))
    return {name: jnp.concatenate(part) for name, part in parts.items()}


def rank_falling(scores: PyTree, groups: PyTree) -> PyTree:
    """Ranks single parameters within their group by falling score; ties go to the first.

    Args:
      scores: shaped like the params.
      groups: tree of groups.

    Returns:
      Ranks, int32, shaped like the params; 0 in leaves of no group.
    """

    def rank(flat: jax.Array) -> jax.Array:
        positions = jnp.argsort(-flat, stable=True)
        places = jnp.arange(flat.size, dtype=jnp.int32)
        return jnp.zeros_like(places).at[positions].set(places, unique_indices=True)

    joined = {name: rank(flat) for name, flat in join(scores, groups).items()}
    ends = dict.fromkeys(joined, 0)

    def cut(name, leaf):
        if name == UNCUT:
            return jnp.zeros(leaf.shape, jnp.int32)
        ends[name] += leaf.size
        return joined[name][ends[name] - leaf.size : ends[name]].reshape(leaf.shape)

    # The order of visits is that of `join`.
    return jax.tree.map(cut, groups, scores)


def keep_first(params: Params, groups: PyTree, ranks: PyTree, kept: Kept) -> ParameterMask:
    """Keeps the parameters of the first ranks; the mask is constant and the gradient `g * M`.

    Args:
      params: the supernet.
      groups: tree of groups.
      ranks: shaped like the params, as `rank_falling` returns them.
      kept: parameters to keep, `{group: k}`.

    Returns:
      The mask.
    """
    # Leaves of no group have rank 0.
    inside = jax.tree.map(lambda name, rank: rank < kept.get(name, 1), groups, ranks)
    masks = jax.tree.map(lambda keep, leaf: keep.astype(leaf.dtype), inside, params)
    return ParameterMask(functools.partial(jax.tree.map, _zero_outside, inside), masks)


def _zero_outside(inside: jax.Array, leaf: jax.Array) -> jax.Array:
    return jnp.where(inside, leaf, 0)
