"""The matrix products and convolutions of one local step, read off the trace of its gradient."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
from jax.interpreters import partial_eval

from benchmarks.base import Workload
from hasa_jax.base import PyTree, UserError
from hasa_jax.supernet import losses, units
from hasa_jax.supernet.types import Context

_PRODUCTS = ("dot_general", "conv_general_dilated")


@dataclasses.dataclass(frozen=True)
class Product:
    """A product of two arrays; products of one kind and shape are equal.

    Attributes:
      kind: name of the primitive.
      shapes: those of the two arrays.
      dtype: theirs.
      settings: the primitive's parameters, written out.
      macs: multiply-accumulates.
      matrices: `(batch, rows, depth, columns)` of the same as a plain product of matrices; None
        for a convolution.
      output_layer: whether it makes, or takes, a row of all classes for every target of a text.
      equation: where it stands in the trace.
    """

    kind: str
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    settings: str
    macs: int
    matrices: tuple[int, int, int, int] | None
    output_layer: bool
    equation: Any = dataclasses.field(compare=False, repr=False)

    def __call__(self, *arrays: jax.Array) -> jax.Array:
        """Multiplies two arrays of these shapes."""
        return self.equation.primitive.bind(*arrays, **self.equation.params)

    def __str__(self) -> str:
        """Describes what is multiplied."""
        sides = " x ".join("(" + ", ".join(map(str, shape)) + ")" for shape in self.shapes)
        return f"{self.kind} {sides}"


def narrow_parameters(workload: Workload, size: int) -> PyTree:
    """Returns the shapes of the parameters of a client of a size."""
    model = workload.program.model
    kept = dict(workload.program.extraction.shape(model, size).kept)
    return units.map_with_axes(
        lambda names, leaf: jax.ShapeDtypeStruct(
            units.narrow_shape(names, leaf.shape, kept), leaf.dtype
        ),
        model.axes,
        model.shapes,
    )


def step_products(workload: Workload, size: int) -> dict[Product, float]:
    """Finds the products of one local step of a client's narrow network.

    Args:
      workload: says the model, the batch and the targets.
      size: size of the client.

    Returns:
      How often each product is computed, those inside a `scan` times its length: forward, and
      backward for inputs and for parameters. What no gradient of a parameter needs is left out;
      a convolution of an image spread by zeros counts for the part of it that is image.
    """
    program, train = workload.program, workload.train
    model, batch_size = program.model, program.training.batch_size
    shape = program.extraction.shape(model, size)
    apply = model.narrow(dict(shape.kept), shape.exits)

    def loss(params: PyTree, inputs: jax.Array, targets: jax.Array) -> jax.Array:
        outputs, _ = apply(params, inputs, Context(shape.width, train=True))
        logits, everyone = outputs[-1], jnp.ones(batch_size, bool)
        assert isinstance(logits, jax.Array)  # They are put off only where the context says so.
        return jnp.sum(losses.target_losses(logits, targets, everyone)[0])

    inputs = jax.ShapeDtypeStruct((batch_size, *model.input_shape), model.input_dtype)
    targets = jax.ShapeDtypeStruct((batch_size, *train.targets.shape[1:]), jnp.int32)
    traced = jax.make_jaxpr(jax.grad(loss))(narrow_parameters(workload, size), inputs, targets)
    needed, _ = partial_eval.dce_jaxpr(traced.jaxpr, [True] * len(traced.jaxpr.outvars))
    texts = len(train.targets.shape) == 2
    counted: dict[Product, float] = {}
    for equation, times in _products(needed, 1.0):
        product = _product(equation, train.num_classes if texts else None)
        counted[product] = counted.get(product, 0.0) + times
    return counted


def _products(jaxpr: Any, times: float) -> Iterator[tuple[Any, float]]:
    """Yields the products of a jaxpr and of the jaxprs inside it, and how often each runs."""
    spread: dict[Any, float] = {}
    for equation in jaxpr.eqns:
        name = equation.primitive.name
        if name == "pad" and any(zeros for _, _, zeros in equation.params["padding_config"]):
            before, after = equation.invars[0].aval.size, equation.outvars[0].aval.size
            spread[equation.outvars[0]] = before / after
        if name in _PRODUCTS:
            # Inputs may be literals, which are no keys.
            sides = [value for value in equation.invars if not hasattr(value, "val")]
            yield equation, times * math.prod(spread.get(value, 1.0) for value in sides)
            continue
        inner = list(_inner_jaxprs(equation.params))
        if inner and name in ("while", "cond"):
            raise UserError(f"the gradient has a {name}: no trace tells what of it is computed")
        repeats = equation.params["length"] if name == "scan" else 1
        for sub in inner:
            yield from _products(sub, times * repeats)


def _inner_jaxprs(parameters: Mapping[str, Any]) -> Iterator[Any]:
    """Yields the jaxprs among an equation's parameters, closed or not."""
    for value in parameters.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            item = getattr(item, "jaxpr", item)
            if hasattr(item, "eqns"):
                yield item


def _product(equation: Any, num_classes: int | None) -> Product:
    """Describes an equation; `num_classes` tells products of the output layer, if it is given."""
    name = equation.primitive.name
    shapes = tuple(tuple(value.aval.shape) for value in equation.invars)
    outcome = tuple(equation.outvars[0].aval.shape)
    matrices = None
    if name == "dot_general":
        matrices = _matrices(shapes, *equation.params["dimension_numbers"])
        macs = math.prod(matrices)
    else:
        kernel = equation.params["dimension_numbers"].rhs_spec
        macs = math.prod(outcome) * math.prod(shapes[1][axis] for axis in kernel[1:])
    return Product(
        kind=name,
        shapes=shapes,
        dtype=str(equation.invars[0].aval.dtype),
        settings=repr(sorted(equation.params.items(), key=lambda item: item[0])),
        macs=macs,
        matrices=matrices,
        output_layer=any(num_classes in shape for shape in (*shapes, outcome)),
        equation=equation,
    )


def _matrices(
    shapes: tuple[tuple[int, ...], ...],
    contracting: tuple[tuple[int, ...], tuple[int, ...]],
    batched: tuple[tuple[int, ...], tuple[int, ...]],
) -> tuple[int, int, int, int]:
    """Returns `(batch, rows, depth, columns)` of a product of arrays."""
    batch = math.prod(shapes[0][axis] for axis in batched[0])
    depth = math.prod(shapes[0][axis] for axis in contracting[0])
    rows, columns = (math.prod(shape) // (batch * depth) for shape in shapes)
    return batch, rows, depth, columns
