"""What a subnet costs: units, parameters, and multiply-accumulates of one forward pass.

Both counts are exact and know no architecture. Parameters follow from the logical axes.
MACs are read off the traced forward pass of the narrow module: every `dot_general` and
convolution, those inside `scan` times its length.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.interpreters import partial_eval

from hasa_jax.base import Params, Shape, UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Context, Extraction, Model, Sizes

BUDGET_UNITS = ("width", "params", "macs")
"""Units in which a budget can be stated."""


def parameter_count(model: Model, sizes: Sizes, exits: int | None = None) -> int:
    """Counts the parameters of the subnet with `sizes` units and `exits` exits (None: all)."""
    deepest = model.num_exits if exits is None else exits
    counts = units.map_with_axes(
        lambda names, leaf, depth: (
            math.prod(units.narrow_shape(names, leaf.shape, sizes)) * (depth <= deepest)
        ),
        model.axes,
        model.shapes,
        model.depths,
    )
    return sum(jax.tree.leaves(counts))


def mac_count(
    model: Model, sizes: Sizes, exits: int | None = None, *, all_exits: bool = False
) -> int:
    """Counts the multiply-accumulates of one example's forward pass through a subnet.

    Args:
      model: the supernet.
      sizes: `{group: units}`.
      exits: exits of the subnet; None for all.
      all_exits: whether the logits of every exit are wanted, or the last one's alone.

    Returns:
      The count.
    """
    exits = model.num_exits if exits is None else exits
    params = units.map_with_axes(
        lambda names, leaf: jax.ShapeDtypeStruct(
            units.narrow_shape(names, leaf.shape, sizes), leaf.dtype
        ),
        model.axes,
        model.shapes,
    )
    inputs = jax.ShapeDtypeStruct((1, *model.input_shape), model.input_dtype)
    apply = model.narrow(sizes, exits)

    def forward(params: Params, inputs: jax.Array) -> tuple[jax.Array, ...]:
        logits, _ = apply(params, inputs, Context())
        return logits if all_exits else logits[-1:]

    traced = jax.make_jaxpr(forward)(params, inputs).jaxpr
    needed, _ = partial_eval.dce_jaxpr(traced, [True] * len(traced.outvars))
    return _jaxpr_macs(needed)


def _jaxpr_macs(jaxpr: Any) -> int:
    """Sums the MACs of a jaxpr and of the jaxprs inside it."""
    total = 0
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "while":
            raise UserError(
                "the model loops by while_loop, whose length no trace tells, so its MACs cannot "
                "be counted: use lax.scan"
            )
        shapes: list[Any] = [getattr(value.aval, "shape", ()) for value in equation.invars]
        if name == "dot_general":
            (contracting, _), _ = equation.params["dimension_numbers"]
            depth = math.prod(shapes[0][axis] for axis in contracting)
            total += math.prod(equation.outvars[0].aval.shape) * depth
        elif name == "conv_general_dilated":
            kernel = equation.params["dimension_numbers"].rhs_spec
            depth = math.prod(shapes[1][axis] for axis in kernel[1:])
            total += math.prod(equation.outvars[0].aval.shape) * depth
        else:
            inner = [_jaxpr_macs(sub) for sub in _inner_jaxprs(equation.params)]
            if inner:
                # A conditional runs one branch; it is charged the dearest.
                repeats = equation.params["length"] if name == "scan" else 1
                total += repeats * (max(inner) if name == "cond" else sum(inner))
    return total


def _inner_jaxprs(parameters: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the jaxprs among an equation's parameters, closed or not."""
    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                yield item


@functools.cache
def cost_table(model: Model, extraction: Extraction, unit: str) -> np.ndarray:
    """Tabulates what every size of a subnet costs, relative to the whole supernet.

    Sizes are those of the extraction: the k-th of H, H being the units of the largest unit
    group. Costs are those of what the client holds and runs: of ordered dropout's MACs the mean
    over the drawn widths, of a subnet that trains all its exits the MACs of all their heads.
    Single parameters save no MACs on dense kernels: their `macs` are nominal, as if zeros were
    skipped, and `executed` is what dense kernels do. The whole supernet counts 1, at its last
    exit. The table of a model is made once; do not write into it.

    Args:
      model: the supernet.
      extraction: which part of it a client of each size holds.
      unit: `width`, `params`, `macs`, or `executed`.

    Returns:
      `[H + 1]` float64; entry 0 is 0.

    Raises:
      UserError: if the unit is unknown.
    """
    finest = max(model.groups.values())
    shapes = [extraction.shape(model, kept) for kept in range(1, finest + 1)]
    if unit == "width":
        costs = np.array([shape.width for shape in shapes])
    elif extraction.mask is not None:
        kept = np.array([sum(dict(shape.sizes).values()) for shape in shapes])
        total = parameter_count(model, model.groups)
        if unit == "params":
            costs = (kept + total - kept[-1]) / total
        else:
            costs = kept / kept[-1] if unit == "macs" else np.ones(finest)
    elif unit == "params":
        whole = parameter_count(model, model.groups)
        costs = np.array([parameter_count(model, dict(s.sizes), s.exits) for s in shapes]) / whole
    elif unit in ("macs", "executed"):
        costs = _step_macs(model, extraction, shapes) / mac_count(model, model.groups)
    else:
        raise UserError(f"unknown budget unit {unit!r}: use one of {', '.join(BUDGET_UNITS)}")
    return np.concatenate([[0.0], costs])


def _step_macs(model: Model, extraction: Extraction, shapes: Sequence[Shape]) -> np.ndarray:
    """Returns the expected MACs of one example's forward passes in a local step."""
    own = np.array(_mac_table(model, shapes, extraction.all_exits), np.float64)
    if not extraction.levels:
        return own
    levels = [units.units_of_width(model, level) for level in extraction.levels]
    expected = np.empty_like(own)
    for index in range(len(own)):
        drawn = [own[level - 1] for level in levels if level < index + 1]
        expected[index] = np.mean([*drawn, own[index]])
    return expected + own if extraction.teacher else expected


def _mac_table(model: Model, shapes: Sequence[Shape], all_exits: bool) -> list[int]:
    """Counts MACs of many shapes, tracing as few of them as can be.

    A product contracts one parameter, which is cut along two axes at most, so the MACs of one
    depth are a polynomial of degree two in the sizes. It is fitted to traces at a few sizes and
    believed only if it predicts two more traces exactly; otherwise every shape is traced.
    """
    depths = sorted({shape.exits for shape in shapes})
    counts: dict[Shape, int] = {}
    for exits in depths:
        distinct = list(dict.fromkeys(shape for shape in shapes if shape.exits == exits))
        points = [dict(shape.sizes) for shape in distinct]
        count = functools.partial(mac_count, model, exits=exits, all_exits=all_exits)
        found = _interpolate(model, points, count) or [count(sizes) for sizes in points]
        counts.update(zip(distinct, found, strict=True))
    return [counts[shape] for shape in shapes]


def _interpolate(
    model: Model, points: Sequence[Mapping[str, int]], count: Callable[[dict[str, int]], int]
) -> list[int] | None:
    """Fits MACs by a polynomial in the sizes, one variable for groups that are always alike."""
    # Groups that share a module field have the same number of units at every size.
    fields = sorted({group.split("/")[0] for group in model.groups})
    of_field = {group.split("/")[0]: group for group in model.groups}
    full = np.array([model.groups[of_field[field]] for field in fields])
    pairs = list(itertools.combinations_with_replacement(range(len(fields) + 1), 2))
    if len(pairs) + 2 >= len(points):
        return None

    def monomials(rows: np.ndarray) -> np.ndarray:
        scaled = np.concatenate([np.ones((len(rows), 1)), rows / full], axis=1)
        return np.stack([scaled[:, i] * scaled[:, j] for i, j in pairs], axis=1)

    def trace(row: Sequence[int]) -> int:
        sizes = dict(zip(fields, row, strict=True))
        return count({group: sizes[group.split("/")[0]] for group in model.groups})

    rows = np.array([[point[of_field[field]] for field in fields] for point in points])
    draws = np.random.default_rng(0).integers(1, full + 1, size=(len(pairs), len(full)))
    checks = rows[[0, -1]]
    fit, *_ = np.linalg.lstsq(monomials(draws), [trace(row) for row in draws.tolist()])
    if not np.array_equal(np.rint(monomials(checks) @ fit), [trace(r) for r in checks.tolist()]):
        return None
    return np.rint(monomials(rows) @ fit).astype(np.int64).tolist()
