"""What a subnet costs: units, parameters, and multiply-accumulates of one forward pass.

The counts of parameters and of MACs are exact and depend on no architecture. Parameters follow
from the logical axes. MACs are read off the traced forward pass of the narrow module: those of
every `dot_general` and convolution, times the length of a `scan` around them.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction
from typing import Any

import jax
import numpy as np
from jax.interpreters import partial_eval

from hasa_jax.base import Params, UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Context, Extraction, Kept, Model, Shape

BUDGET_UNITS = ("width", "params", "macs", "bytes")
"""Units in which a budget can be stated. `cost_table` also knows `executed`."""

BYTES_OF_A_PARAMETER = 4
"""Parameters are sent as float32."""

_MOST_SUBNETS, _DRAWS = 3, 50
"""Subnets that show which fields a product is cut by, and how often so many of them are drawn."""


def parameter_count(model: Model, kept: Kept, exits: int | None = None) -> int:
    """Counts the parameters of a subnet.

    Args:
      model: the supernet.
      kept: units kept, `{group: k}`.
      exits: exits of the subnet; None for all.

    Returns:
      The count.
    """
    deepest = model.num_exits if exits is None else exits
    counts = units.map_with_axes(
        lambda names, leaf, depth: (
            math.prod(units.narrow_shape(names, leaf.shape, kept)) * (depth <= deepest)
        ),
        model.axes,
        model.shapes,
        model.depths,
    )
    return sum(jax.tree.leaves(counts))


def mac_count(
    model: Model, kept: Mapping[str, int], exits: int | None = None, *, all_exits: bool = False
) -> int:
    """Counts the multiply-accumulates of one example's forward pass through a subnet.

    Args:
      model: the supernet.
      kept: units kept, `{group: k}`.
      exits: exits of the subnet; None for all.
      all_exits: whether the logits of every exit are computed, or only those of the last one.

    Returns:
      The count.

    Raises:
      UserError: if the model loops by `while_loop`.
    """
    exits = model.num_exits if exits is None else exits
    return sum(_product_macs(model, tuple(sorted(kept.items())), exits, all_exits))


@functools.cache
def _product_macs(
    model: Model, kept: tuple[tuple[str, int], ...], exits: int, all_exits: bool
) -> tuple[int, ...]:
    """Traces one example's forward pass through a subnet; returns the MACs of every product.

    What is traced once is not traced again.
    """
    own = dict(kept)
    params = units.map_with_axes(
        lambda names, leaf: jax.ShapeDtypeStruct(
            units.narrow_shape(names, leaf.shape, own), leaf.dtype
        ),
        model.axes,
        model.shapes,
    )
    inputs = jax.ShapeDtypeStruct((1, *model.input_shape), model.input_dtype)
    apply = model.narrow(own, exits)

    def forward(params: Params, inputs: jax.Array) -> tuple[jax.Array, ...]:
        logits, _ = apply(params, inputs, Context())
        return logits if all_exits else logits[-1:]

    traced = jax.make_jaxpr(forward)(params, inputs).jaxpr
    needed, _ = partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))
    return tuple(_jaxpr_macs(needed))


def _jaxpr_macs(jaxpr: Any) -> Iterator[int]:
    """Yields the MACs of every product of a jaxpr and of the jaxprs inside it."""
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "while":
            raise UserError(
                "the model loops by while_loop, whose length is not in the trace, so its MACs "
                "cannot be counted: use lax.scan"
            )
        shapes: list[Any] = [getattr(value.aval, "shape", ()) for value in equation.invars]
        if name == "dot_general":
            (contracting, _), _ = equation.params["dimension_numbers"]
            depth = math.prod(shapes[0][axis] for axis in contracting)
            yield math.prod(equation.outvars[0].aval.shape) * depth
        elif name == "conv_general_dilated":
            kernel = equation.params["dimension_numbers"].rhs_spec
            depth = math.prod(shapes[1][axis] for axis in kernel[1:])
            yield math.prod(equation.outvars[0].aval.shape) * depth
        elif inner := [list(_jaxpr_macs(sub)) for sub in inner_jaxprs(equation.params)]:
            if name == "cond":
                # A conditional runs one branch; it costs what the most expensive one does.
                yield max(map(sum, inner))
            else:
                repeats = equation.params["length"] if name == "scan" else 1
                yield from (repeats * macs for sub in inner for macs in sub)


def inner_jaxprs(parameters: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the jaxprs among an equation's parameters, closed or not."""
    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                yield item


@functools.cache
def cost_table(model: Model, extraction: Extraction, unit: str) -> np.ndarray:
    """Tabulates what every size of a subnet costs, as a fraction of the supernet.

    Costs are those of what the client holds and runs:

    * `width`: the width that the extraction gives to the size.
    * `params`: parameters that the client holds. Of single parameters it is the share of those
      that can be cut: those that are always kept, such as the norms', count apart (`uncut_share`).
    * `macs`: MACs of a local step's forward passes. Of ordered dropout it is the mean over the
      draws, plus those of the teacher. Of single parameters it is nominal, as if zeros were
      skipped. The supernet's MACs are counted at its last exit only.
    * `bytes`: bytes that the client receives and sends in a round (`bytes_down`, `bytes_up`).
    * `executed`: MACs that dense kernels execute. They differ from `macs` only for single
      parameters, where they are those of the supernet. It is no unit of a budget, so it is not
      in `BUDGET_UNITS`.

    The table of a model is computed once; callers must not write into it.

    Args:
      model: the supernet.
      extraction: which part of it a client of each size holds.
      unit: one of `BUDGET_UNITS`, or `executed`.

    Returns:
      `[H + 1]` float64, by size; entry 0 is 0.

    Raises:
      UserError: if the unit is unknown, or the extraction does not fit the model.
    """
    if unit not in (*BUDGET_UNITS, "executed"):
        raise UserError(f"unknown budget unit {unit!r}: use one of {', '.join(BUDGET_UNITS)}")
    if unit == "executed" and extraction.mask is None:
        # Narrow subnets execute their own MACs; what is traced once is not traced again.
        return cost_table(model, extraction, "macs")
    costs = _plain_costs(model, extraction, unit)
    if costs is not None:
        return np.concatenate([[0.0], costs])
    sizes = range(1, max(model.groups.values()) + 1)
    shapes = [extraction.shape(model, size) for size in sizes]
    if unit == "width":
        costs = np.array([shape.width for shape in shapes])
    elif unit == "bytes":
        moved = [bytes_down(model, extraction, s) + bytes_up(model, extraction, s) for s in shapes]
        costs = np.array(moved) / (2 * BYTES_OF_A_PARAMETER * parameter_count(model, model.groups))
    elif extraction.mask is not None:
        kept = np.array([sum(dict(shape.kept).values()) for shape in shapes])
        costs = np.ones(len(shapes)) if unit == "executed" else kept / kept[-1]
    elif unit == "params":
        counts = [parameter_count(model, dict(shape.kept), shape.exits) for shape in shapes]
        costs = np.array(counts) / parameter_count(model, model.groups)
    else:
        costs = _step_macs(model, extraction, shapes) / mac_count(model, model.groups)
    return np.concatenate([[0.0], costs])


def _plain_costs(model: Model, extraction: Extraction, unit: str) -> np.ndarray | None:
    """Returns the costs of all sizes at once where sizes are plain widths, else None.

    A supernet of a million units has as many sizes, and a loop over them takes minutes.
    """
    plain = extraction.shape is units.by_width and not (extraction.levels or extraction.by_data)
    if not plain or extraction.mask is not None:
        return None
    largest = max(model.groups.values())
    sizes = np.arange(1, largest + 1)
    if unit == "width":
        return sizes / largest
    kept = {group: -(-count * sizes // largest) for group, count in model.groups.items()}
    if unit in ("params", "bytes"):  # Every parameter that is held is sent, down and up.
        counts = units.map_with_axes(
            lambda names, leaf: math.prod(units.narrow_shape(names, leaf.shape, kept)),
            model.axes,
            model.shapes,
        )
        held = np.sum([np.broadcast_to(count, sizes.shape) for count in jax.tree.leaves(counts)], 0)
        return held / parameter_count(model, model.groups)
    found = _macs_by_products(model, kept, model.num_exits, extraction.all_exits)
    return None if found is None else found / mac_count(model, model.groups)


def masked_macs(model: Model, extraction: Extraction) -> float:
    """Returns the MACs of a masked local step, as a fraction of the supernet's.

    Args:
      model: the supernet.
      extraction: which part of it a client holds; every part is computed at full size.

    Returns:
      The passes of a step, of all exits where subnets train all of theirs.
    """
    supernet = mac_count(model, model.groups, all_exits=extraction.all_exits)
    return (1 + extraction.teacher) * supernet / mac_count(model, model.groups)


def uncut_share(model: Model, extraction: Extraction) -> float:
    """Returns the share of the parameters that no size cuts and that `params` does not count.

    Args:
      model: the supernet.
      extraction: what sizes keep.

    Returns:
      Parameters of norms, and what else belongs to no group, over those of the supernet, for an
      extraction of single parameters; 0 for others, whose norms are cut and counted with the units.
    """
    if extraction.mask is None:
        return 0.0
    return _uncut_count(model, extraction) / parameter_count(model, model.groups)


def _uncut_count(model: Model, extraction: Extraction) -> int:
    """Returns the number of parameters that an extraction of single parameters always keeps."""
    supernet = extraction.shape(model, max(model.groups.values()))
    return parameter_count(model, model.groups) - sum(dict(supernet.kept).values())


def _held_count(model: Model, extraction: Extraction, shape: Shape) -> int:
    """Returns the number of parameters that a client holds."""
    if extraction.mask is None:
        return parameter_count(model, dict(shape.kept), shape.exits)
    return sum(dict(shape.kept).values()) + _uncut_count(model, extraction)


def bytes_down(model: Model, extraction: Extraction, shape: Shape) -> int:
    """Returns the bytes that a client receives in a round.

    The server sends the parameters of the client's subnet. Prefixes, windows and draws from a
    shared key are known on both sides. Ranks by magnitude are known to the server only; the
    positions that it sends beside them, at most a bit for each parameter that can be cut, are not
    counted. Where the client's own data decide, the server sends the supernet.

    Args:
      model: the supernet.
      extraction: which part of it the client holds.
      shape: the client's size.

    Returns:
      The count.
    """
    count = _held_count(model, extraction, shape)
    if extraction.by_data:
        count = parameter_count(model, model.groups)
    return BYTES_OF_A_PARAMETER * count


def bytes_up(model: Model, extraction: Extraction, shape: Shape) -> int:
    """Returns the bytes that a client sends in a round.

    It sends the update of its subnet. Where its own data decide, it also sends which units or
    parameters these are: one bit for each that can be cut.

    Args:
      model: the supernet.
      extraction: which part of it the client holds.
      shape: the client's size.

    Returns:
      The count.
    """
    sent = BYTES_OF_A_PARAMETER * _held_count(model, extraction, shape)
    if not extraction.by_data:
        return sent
    if extraction.mask is None:
        choices = sum(model.groups.values())
    else:
        choices = parameter_count(model, model.groups) - _uncut_count(model, extraction)
    return sent + -(-choices // 8)


def _step_macs(model: Model, extraction: Extraction, shapes: Sequence[Shape]) -> np.ndarray:
    """Returns the expected MACs of one example's forward passes in a local step, by size."""
    levels = {level: units.size_of_width(model, level) for level in extraction.levels}
    narrower = [units.by_width(model, size, [level]) for level, size in levels.items()]
    table = _mac_table(model, [*shapes, *narrower], extraction.all_exits)
    own = np.array(table[: len(shapes)], np.float64)
    if not levels:
        return own
    costs = list(zip(levels.values(), table[len(shapes) :], strict=True))
    expected = np.empty_like(own)
    for index in range(len(own)):
        drawn = [cost for size, cost in costs if size < index + 1]
        expected[index] = np.mean([*drawn, own[index]])
    return expected + own if extraction.teacher else expected


def _mac_table(model: Model, shapes: Sequence[Shape], all_exits: bool) -> list[int]:
    """Counts the MACs of many shapes, and traces only a few of them if it can.

    See `_macs_by_products`. Where that does not hold, every shape is traced.
    """
    depths = sorted({shape.exits for shape in shapes})
    counts: dict[Shape, int] = {}
    for exits in depths:
        distinct = list(dict.fromkeys(shape for shape in shapes if shape.exits == exits))
        points = [dict(shape.kept) for shape in distinct]
        kept = {group: np.array([point[group] for point in points]) for group in model.groups}
        found = _macs_by_products(model, kept, exits, all_exits)
        if found is None:
            macs = [mac_count(model, point, exits, all_exits=all_exits) for point in points]
        else:
            macs = found.tolist()
        counts.update(zip(distinct, macs, strict=True))
    return [counts[shape] for shape in shapes]


def _macs_by_products(
    model: Model, kept: Mapping[str, np.ndarray], exits: int, all_exits: bool
) -> np.ndarray | None:
    """Counts the MACs of many subnets of one depth from traces of a few of them.

    Most products contract one parameter, which is cut along two axes at most, so their MACs are
    `c k_i k_j`, with the units kept of two fields, of one, or of none. Which fields these are
    follows from traces of the supernet and of a subnet in which no two pairs of fields keep the
    same share. The counts are used only if every product is of this kind, and if they are right
    for the first subnet.

    Args:
      model: the supernet.
      kept: units of each group in some subnets, `{group: k [n]}`.
      exits: exits of the subnets.
      all_exits: as for `mac_count`.

    Returns:
      The counts `[n]`; None if there are few subnets or a product costs something else.
    """
    # Groups that share a module field keep the same number of units in every subnet.
    of_field = {group.split("/")[0]: group for group in model.groups}
    full = {field: model.groups[group] for field, group in of_field.items()}
    subnets, pairs = _distinct_subnets({field: count for field, count in full.items() if count > 1})
    points = kept[next(iter(model.groups))]
    if not pairs or len(points) <= len(subnets) + 2:
        return None

    def trace(units_of: Mapping[str, int]) -> tuple[int, ...]:
        own = {group: units_of[group.split("/")[0]] for group in model.groups}
        return _product_macs(model, tuple(sorted(own.items())), exits, all_exits)

    products = [trace(full), *(trace({**full, **subnet}) for subnet in subnets)]
    if len({*map(len, products)}) > 1:
        return None
    shares = {field: kept[group] / full[field] for field, group in of_field.items()}
    counts = np.zeros(len(points))
    for total, *parts in zip(*products, strict=True):
        pair = pairs.get(tuple(Fraction(part, total) for part in parts)) if total else None
        if pair is None:
            return None
        counts += total * math.prod((shares[field] for field in pair), start=1.0)
    counts = np.rint(counts).astype(np.int64)
    first = {field: int(kept[group][0]) for field, group in of_field.items()}
    return counts if counts[0] == sum(trace(first)) else None


def _distinct_subnets(
    full: Mapping[str, int],
) -> tuple[list[dict[str, int]], dict[tuple[Fraction, ...], tuple[str, ...]]]:
    """Finds subnets, one if it can, in which each pair of fields keeps shares of its own.

    Args:
      full: units of every field.

    Returns:
      The units that the subnets keep; and by the product of their shares in each of them, the
      fields: two, one or none. Nothing if no such subnets are found.
    """
    rng = np.random.default_rng(0)
    pairs = [(), *((field,) for field in full), *itertools.combinations_with_replacement(full, 2)]
    for number in np.repeat(np.arange(1, _MOST_SUBNETS + 1), _DRAWS):
        subnets = [
            {field: int(rng.integers(1, count + 1)) for field, count in full.items()}
            for _ in range(number)
        ]
        shares = {
            field: [Fraction(subnet[field], count) for subnet in subnets]
            for field, count in full.items()
        }
        found = {
            tuple(
                math.prod((shares[field][at] for field in pair), start=Fraction(1))
                for at in range(number)
            ): pair
            for pair in pairs
        }
        if len(found) == len(pairs):
            return subnets, found
    return [], {}
