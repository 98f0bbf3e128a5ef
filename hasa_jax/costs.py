"""What a subnet costs: units, parameters, and multiply-accumulates of one forward pass.

Both counts are exact and know no architecture. Parameters follow from the logical axes.
MACs are read off the traced forward pass of the narrow module: every `dot_general` and
convolution, those inside `scan` times its length.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import numpy as np

from hasa_jax import units
from hasa_jax.base import Model, UserError

BUDGET_UNITS = ("width", "params", "macs")
"""Units in which a budget can be stated."""


def parameter_count(model: Model, sizes: Mapping[str, int]) -> int:
    """Counts the parameters of the subnet that keeps `sizes` units."""
    counts = units.map_with_axes(
        lambda names, leaf: math.prod(units.narrow_shape(names, leaf.shape, sizes)),
        model.axes,
        model.shapes,
    )
    return sum(jax.tree.leaves(counts))


def mac_count(model: Model, sizes: Mapping[str, int]) -> int:
    """Counts the multiply-accumulates of one example's forward pass through a subnet."""
    params = units.map_with_axes(
        lambda names, leaf: jax.ShapeDtypeStruct(
            units.narrow_shape(names, leaf.shape, sizes), leaf.dtype
        ),
        model.axes,
        model.shapes,
    )
    inputs = jax.ShapeDtypeStruct((1, *model.input_shape), model.input_dtype)
    apply = model.narrow(sizes)
    traced = jax.make_jaxpr(lambda p, x: apply(p, x, width=1.0, train=False))(params, inputs)
    return _jaxpr_macs(traced.jaxpr)


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
def cost_table(model: Model, unit: str) -> np.ndarray:
    """Tabulates the relative cost of every width on the grid of the largest unit group.

    The table of a model is made once; do not write into it.

    Args:
      model: the supernet.
      unit: `width`, `params` or `macs`.

    Returns:
      `[H + 1]` float64, entry k being cost(k units) / cost(H units); entry 0 is 0, entry H is 1.

    Raises:
      UserError: if the unit is unknown.
    """
    finest = max(model.groups.values())
    if unit == "width":
        return np.arange(finest + 1) / finest
    if unit == "params":
        counts = [
            parameter_count(model, units.sizes_of_units(model.groups, kept))
            for kept in range(1, finest + 1)
        ]
    elif unit == "macs":
        counts = _mac_table(model, finest)
    else:
        raise UserError(f"unknown budget unit {unit!r}: use one of {', '.join(BUDGET_UNITS)}")
    return np.array([0, *counts], np.float64) / counts[-1]


def _mac_table(model: Model, finest: int) -> list[int]:
    """Counts MACs at 1..finest units of the largest group, tracing as few widths as can be.

    A product contracts one parameter, which is cut along two axes at most, so MACs are a
    polynomial of degree two in the group sizes. It is fitted to traces at a few sizes and
    believed only if it predicts two more traces exactly; otherwise every width is traced.
    """
    full = np.array(list(model.groups.values()))
    grid = [units.sizes_of_units(model.groups, kept) for kept in range(1, finest + 1)]
    pairs = list(itertools.combinations_with_replacement(range(len(full) + 1), 2))

    def monomials(sizes: np.ndarray) -> np.ndarray:
        scaled = np.concatenate([np.ones((len(sizes), 1)), sizes / full], axis=1)
        return np.stack([scaled[:, i] * scaled[:, j] for i, j in pairs], axis=1)

    if len(pairs) + 2 < finest:
        draws = np.random.default_rng(0).integers(1, full + 1, size=(len(pairs), len(full)))
        checks = np.array([list(grid[0].values()), full])
        sampled = np.concatenate([draws, checks])
        counts = np.array(
            [
                mac_count(model, dict(zip(model.groups, row, strict=True)))
                for row in sampled.tolist()
            ]
        )
        fit, *_ = np.linalg.lstsq(monomials(draws), counts[: len(draws)])
        if np.array_equal(np.rint(monomials(checks) @ fit), counts[len(draws) :]):
            points = np.array([list(sizes.values()) for sizes in grid])
            return np.rint(monomials(points) @ fit).astype(np.int64).tolist()
    return [mac_count(model, sizes) for sizes in grid]
