"""Groups of single parameters: their names, counts, and the order within a group.

They are what unit groups are to extractions of units. A tree of groups is shaped like the
params and has a name for each leaf; leaves of one name share a threshold.
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PyTree, UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Kept, Model, ParameterMask, Shape

THRESHOLDS = ("model", "stage", "layer", "published_text")
"""What makes a group: the model; top-level modules whose names share their first two words, such
as `stage_1_block_1` and `stage_1_block_2`; each array; or, of texts, the token embedding, the
position embedding and all else but the head, which is never cut."""

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
      model: the supernet; parameters with `norm` in their path are those of norms. For
        `published_text` an axis `tokens` marks the token embedding, an axis `classes` the head,
        and `position` in the path the position embedding.
      threshold: one of `THRESHOLDS`.

    Returns:
      A tree of groups.

    Raises:
      UserError: if all parameters are those of norms, or no axis is named `tokens` where the
        threshold is for texts.

    References:
      `model`, `stage` and `published_text`: FIARSE, arXiv 2407.19389, and its released code.
    """

    def name(path, leaf, axes):
        del leaf
        where = jax.tree_util.keystr(path, simple=True, separator="/")
        if "norm" in where.lower():
            return UNCUT
        if threshold == "published_text":
            return _text_group(where, axes)
        stage = "_".join(where.split("/")[0].split("_")[:2])
        return {"model": "model", "stage": stage, "layer": where}[threshold]

    groups = jax.tree_util.tree_map_with_path(name, model.shapes, model.axes)
    found = set(jax.tree.leaves(groups))
    if threshold == "published_text" and "token_embedding" not in found:
        raise UserError(
            "`threshold` published_text divides a text model, but no axis of this model is named "
            "'tokens': use one of model, stage, layer"
        )
    if found <= {UNCUT}:
        raise UserError("every parameter of the model belongs to a norm: there is nothing to cut")
    return groups


def _text_group(where: str, axes: tuple) -> str:
    """Returns the group of one parameter in the published text setting."""
    if "classes" in axes:
        return UNCUT
    if "tokens" in axes:
        return "token_embedding"
    return "position_embedding" if "position" in where.lower() else "encoder"


def group_sizes(model: Model, threshold: str) -> dict[str, int]:
    """Returns the number of parameters `D` of every group, sorted by name; without `UNCUT`."""
    totals: dict[str, int] = {}
    groups = jax.tree.leaves(name_groups(model, threshold))
    for name, leaf in zip(groups, jax.tree.leaves(model.shapes), strict=True):
        if name != UNCUT:
            totals[name] = totals.get(name, 0) + math.prod(leaf.shape)
    return dict(sorted(totals.items()))


@functools.cache
def shares(model: Model, threshold: str, levels: tuple[float, ...]) -> tuple[Fraction, ...]:
    """Returns the share `gamma` of the maskable parameters that each size keeps.

    Maskable are the parameters of all groups. Size k keeps the share of them that the subnet of
    k units keeps. A level replaces the share that is nearest to it, so that published levels are
    met exactly and not to the nearest of H sizes.

    Args:
      model: the supernet.
      threshold: one of `THRESHOLDS`.
      levels: published fractions, in (0, 1].

    Returns:
      `gamma` of the sizes 1..H, rising.

    Raises:
      UserError: if a level is out of its range, or two levels are nearest to one size.
    """
    if not all(0 < level <= 1 for level in levels):
        raise UserError(f"`levels` must be fractions in (0, 1], not {list(levels)}")
    largest = max(model.groups.values())
    groups = name_groups(model, threshold)
    total = sum(group_sizes(model, threshold).values())

    def share(size: int) -> Fraction:
        kept = dict(units.by_width(model, size).kept)
        counts = units.map_with_axes(
            lambda names, leaf, group: (
                math.prod(units.narrow_shape(names, leaf.shape, kept)) if group != UNCUT else 0
            ),
            model.axes,
            model.shapes,
            groups,
        )
        return Fraction(sum(jax.tree.leaves(counts)), total)

    found = [share(size) for size in range(1, largest + 1)]
    nearest = {largest - 1: Fraction(1)}
    for level in sorted({Fraction(level).limit_denominator(10**9) for level in levels} - {1}):
        # Only the last size is the supernet.
        index = min(range(largest), key=lambda i: abs(found[i] - level) + (i == largest - 1))
        if index in nearest:
            raise UserError(
                f"levels {float(nearest[index]):g} and {float(level):g} have the same size of "
                f"{largest}: take `levels`, and those that are evaluated, further apart"
            )
        nearest[index] = level
    return tuple(nearest.get(index, own) for index, own in enumerate(found))


@functools.cache
def shape_by_count(
    model: Model, size: int, threshold: str, levels: tuple[float, ...] = ()
) -> Shape:
    """Returns what a subnet of single parameters keeps.

    A group of D maskable parameters keeps `k = int(gamma D)` of them, one at least. Parameters of
    no group, such as those of norms, are kept beside them and count nowhere. The shape of every
    size is computed once.

    Args:
      model: the supernet.
      size: in [1, H]; `gamma` is its share, see `shares`.
      threshold: one of `THRESHOLDS`.
      levels: published fractions, in (0, 1].

    Returns:
      A shape of full width and depth, whose `kept` counts the parameters of each group.

    References:
      FIARSE, arXiv 2407.19389, and its released code.
    """
    gamma = shares(model, threshold, levels)[size - 1]
    kept = {
        name: max(1, math.floor(gamma * total))
        for name, total in group_sizes(model, threshold).items()
    }
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
