"""The ways in which the same numbers can be computed; the limit is that of the fastest."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp

from benchmarks.products import Product

_FEW_CLIENTS = 4
"""Clients of a small stack, which caches hold where they do not hold all clients."""


class Form(NamedTuple):
    """A way to compute something.

    Attributes:
      name: how it is computed.
      function: of the arrays.
      shapes: of the arrays.
      dtype: theirs.
      stack: clients for which one call computes it.
      in_place: whether the arrays of a call are the outcome of the last one.
    """

    name: str
    function: Callable[..., Any]
    shapes: tuple[tuple[int, ...], ...]
    dtype: str
    stack: int = 1
    in_place: bool = False


def as_traced(product: Product) -> Form:
    """Returns a product as the model writes it."""
    return Form("as traced", product, product.shapes, product.dtype)


def variants(product: Product, clients: int) -> Iterator[Form]:
    """Yields other forms of a product: other layouts, and clients stacked.

    Args:
      product: the product.
      clients: most clients of one stack.

    Yields:
      A product of arrays also as a product of matrices, with each side and the outcome as it is
      or transposed; every product for a few clients in one `vmap`, and for all of them.
    """
    if product.matrices:
        for sides in itertools.product((False, True), repeat=3):
            yield _matrices(product, product.matrices, *sides)
    for count in sorted({min(_FEW_CLIENTS, clients), clients} - {1}):
        shapes = tuple((count, *shape) for shape in product.shapes)
        yield Form(f"{count} stacked", jax.vmap(product), shapes, product.dtype, count)


def _matrices(
    product: Product,
    matrices: tuple[int, int, int, int],
    left_turned: bool,
    right_turned: bool,
    turned: bool,
) -> Form:
    """Returns a product as one of matrices; `turned` sides have rows and columns exchanged."""
    batch, rows, depth, columns = matrices
    leading = (batch,) if batch > 1 else ()
    left = (*leading, *((depth, rows) if left_turned else (rows, depth)))
    right = (*leading, *((columns, depth) if right_turned else (depth, columns)))
    axes = len(leading)
    contracted = (axes if left_turned else axes + 1, axes + 1 if right_turned else axes)
    if turned:
        left, right, contracted = right, left, contracted[::-1]
    batched = tuple(range(axes))
    function = functools.partial(
        jax.lax.dot_general,
        dimension_numbers=(((contracted[0],), (contracted[1],)), (batched, batched)),
        precision=product.equation.params["precision"],
        preferred_element_type=product.equation.params["preferred_element_type"],
    )
    marks = "".join("T" if side else "N" for side in (left_turned, right_turned, turned))
    return Form(f"matrices {marks}", function, (left, right), product.dtype)


def sequence(products: Sequence[Product]) -> Form:
    """Returns the products of a step, one after the other, each on arrays of its own.

    Args:
      products: the products, one of them as often as the step computes it.

    Returns:
      The form; what a product reads is in the caches as far as the others leave it there.
    """
    shapes = tuple(shape for product in products for shape in product.shapes)
    function = functools.partial(_in_sequence, tuple(products))
    return Form("in sequence", function, shapes, products[0].dtype)


def _in_sequence(products: Sequence[Product], *arrays: jax.Array) -> list[jax.Array]:
    """Multiplies pair after pair."""
    return [product(*arrays[2 * place : 2 * place + 2]) for place, product in enumerate(products)]


def passes_in_place(floats: int) -> Form:
    """Returns one reading and one writing of so many floats, in place."""
    return Form("in place", lambda array: array + 1.0, ((floats,),), "float32", in_place=True)


def repeated(form: Form, times: jax.Array, *arrays: jax.Array) -> Any:
    """Computes a form many times in a loop, which has no calls from the host.

    Args:
      form: the form.
      times: how often, an int32 scalar: one program serves any number.
      *arrays: what it computes with.

    Returns:
      The outcome of the last time.
    """
    if form.in_place:
        return jax.lax.fori_loop(0, times, lambda _, own: (form.function(*own),), arrays)
    start = jax.tree.map(
        lambda one: jnp.zeros(one.shape, one.dtype), jax.eval_shape(form.function, *arrays)
    )

    def once(_: jax.Array, carry: tuple[Any, Any]) -> tuple[Any, Any]:
        # The barrier ties a call to the one before it; without it the compiler would make one.
        inputs, _ = jax.lax.optimization_barrier(carry)
        return inputs, form.function(*inputs)

    return jax.lax.fori_loop(0, times, once, (arrays, start))[1]
