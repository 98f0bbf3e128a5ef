"""What the machine could do: the seconds that a round's useful arithmetic takes at its best.

No engine gets below it by running the same products: each is timed alone, as a plain jitted
program, in the fastest of a few ways. What lies above it is everything else that a round does.
"""

from __future__ import annotations

import functools
import time
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.base import Workload, work_of
from benchmarks.products import Product, step_products
from hasa_jax.supernet import costs

_TRIALS = 10
_SECONDS = 2e-3
"""Least seconds of a trial, so that the call itself does not count."""
_MOST_CALLS = 2000
_FLOAT_BYTES = 4


class Limit(NamedTuple):
    """The least seconds of a round, and where they go.

    Attributes:
      seconds: of a round, products and optimizer together.
      product_seconds: of its products alone.
      flops: useful floating-point operations of a round's products.
      gflops: of them in a second, in 1e9.
      optimizer_seconds: of a round's optimizer steps.
      optimizer_bytes: that they read and write.
      gigabytes: of them in a second.
      products: the products that take most, as `{product, times, seconds, gflops}`.
    """

    seconds: float
    product_seconds: float
    flops: float
    gflops: float
    optimizer_seconds: float
    optimizer_bytes: float
    gigabytes: float
    products: list[dict[str, Any]]


def useful_flops(workload: Workload, num_rounds: int) -> float:
    """Counts the useful floating-point operations of a round's products, over some rounds."""
    return sum(2 * product.macs * times for product, times in _useful(workload, num_rounds).items())


def measure(workload: Workload, num_rounds: int, copies: int, listed: int = 12) -> Limit:
    """Measures the limit of a workload on this machine.

    Args:
      workload: the workload.
      num_rounds: rounds whose mean is taken.
      copies: devices; a product may also run on all of them at once, one copy each.
      listed: products to list.

    Returns:
      The limit.
    """
    rows = []
    for product, times in _useful(workload, num_rounds).items():
        each = product_seconds(product, copies)
        gflops = 2e-9 * product.macs / each
        rows.append(
            {"product": str(product), "times": times, "seconds": times * each, "gflops": gflops}
        )
    rows.sort(key=lambda row: -row["seconds"])
    seconds, flops = sum(row["seconds"] for row in rows), useful_flops(workload, num_rounds)
    moved, moving = _optimizer(workload, num_rounds, copies)
    return Limit(
        seconds=seconds + moving,
        product_seconds=seconds,
        flops=flops,
        gflops=1e-9 * flops / seconds,
        optimizer_seconds=moving,
        optimizer_bytes=moved,
        gigabytes=1e-9 * moved / moving,
        products=rows[:listed],
    )


def _useful(workload: Workload, num_rounds: int) -> dict[Product, float]:
    """Returns how often each product is useful in a round.

    Of the output layer, only what targets with a loss need counts: logits of padding do not.
    """
    steps, useful = _steps(workload, num_rounds)
    counted: dict[Product, float] = {}
    for size in steps:
        for product, times in step_products(workload, size).items():
            number = useful[size] if product.output_layer else steps[size]
            counted[product] = counted.get(product, 0.0) + times * number
    return counted


def _steps(workload: Workload, num_rounds: int) -> tuple[dict[int, float], dict[int, float]]:
    """Returns the steps of a round by size, and the same times the useful part of their targets."""
    steps: Counter[int] = Counter()
    useful: dict[int, float] = {}
    for round in range(num_rounds):
        for work in work_of(workload, round):
            steps[work.size] += work.steps
            useful[work.size] = useful.get(work.size, 0.0) + work.steps * work.useful
    return (
        {size: number / num_rounds for size, number in steps.items()},
        {size: number / num_rounds for size, number in useful.items()},
    )


def _optimizer(workload: Workload, num_rounds: int, copies: int) -> tuple[float, float]:
    """Returns the bytes that a round's optimizer steps move, and the seconds that copying takes."""
    model, extraction = workload.program.model, workload.program.extraction
    moved = moving = 0.0
    for size, number in _steps(workload, num_rounds)[0].items():
        shape = extraction.shape(model, size)
        count = costs.parameter_count(model, dict(shape.kept), shape.exits)
        size = number * workload.optimizer_passes * _FLOAT_BYTES * count
        moved += size
        moving += size / bandwidth(count, copies)
    return moved, moving


@functools.cache
def product_seconds(product: Product, copies: int) -> float:
    """Times a product at the best rate that the machine reaches.

    Args:
      product: the product; one of arrays is also tried as a plain product of matrices.
      copies: devices that may compute one each at the same time.

    Returns:
      Seconds a product: of one on all cores, or of one of several copies divided by their number.
    """
    seconds = _best_seconds(product, _normal(product.shapes, product.dtype), copies)
    if product.matrices:
        seconds = min(seconds, _matrix_seconds(product.matrices, product.dtype, copies))
    return seconds


@functools.cache
def _matrix_seconds(matrices: tuple[int, int, int, int], dtype: str, copies: int) -> float:
    """Times a plain product of matrices; a batch of them if it is not one."""
    batch, rows, depth, columns = matrices
    leading = (batch,) if batch > 1 else ()
    shapes = (*leading, rows, depth), (*leading, depth, columns)
    return _best_seconds(jnp.matmul, _normal(shapes, dtype), copies)


def _normal(shapes: Sequence[tuple[int, ...]], dtype: str) -> list[np.ndarray]:
    """Draws arrays of normal numbers."""
    generator = np.random.default_rng(0)
    return [generator.standard_normal(shape).astype(dtype) for shape in shapes]


@functools.cache
def bandwidth(count: int, copies: int) -> float:
    """Measures the bytes a second that are read and written in copying an array.

    Args:
      count: floats in the array.
      copies: devices that may copy one each at the same time.

    Returns:
      Bytes read and bytes written together, in a second.
    """
    # One is added because a bare copy may be left out by the compiler.
    seconds = _best_seconds(lambda array: array + 1.0, [np.zeros(count, np.float32)], copies)
    return 2 * _FLOAT_BYTES * count / seconds


def _best_seconds(
    function: Callable[..., jax.Array], arrays: Sequence[np.ndarray], copies: int
) -> float:
    """Returns the least seconds of a call: alone or in a loop, on one device or on all."""
    devices = jax.devices()[:copies]
    placed = [[jax.device_put(array, device) for array in arrays] for device in devices]
    direct = jax.jit(function)
    jax.block_until_ready([direct(*own) for own in placed])
    once = _trial(direct, placed[:1], 1)
    calls = int(np.clip(_SECONDS / once, 1, _MOST_CALLS))
    # A call from the host costs microseconds, as much as a small product: loops have none.
    looped = jax.jit(functools.partial(_repeated, function, calls))
    jax.block_until_ready([looped(*own) for own in placed])
    found = [once]
    for own in [placed[:1], placed] if copies > 1 else [placed]:
        found += [_trial(direct, own, calls) / calls for _ in range(_TRIALS)]
        found += [_trial(looped, own, 1) / calls for _ in range(_TRIALS)]
    return min(found)


def _trial(program: Callable[..., jax.Array], placed: Sequence[Sequence[Any]], calls: int) -> float:
    """Returns the seconds of calls on every device at once, divided by the number of devices."""
    began = time.perf_counter()
    jax.block_until_ready([program(*own) for _ in range(calls) for own in placed])
    return (time.perf_counter() - began) / len(placed)


def _repeated(function: Callable[..., jax.Array], times: int, *arrays: jax.Array) -> jax.Array:
    """Calls a function many times on the same arrays, each time anew."""
    shape = jax.eval_shape(function, *arrays)

    def once(_: jax.Array, carry: tuple[Any, jax.Array]) -> tuple[Any, jax.Array]:
        # The barrier ties a call to the one before it; without it the compiler would make one.
        inputs, _ = jax.lax.optimization_barrier(carry)
        return inputs, function(*inputs)

    return jax.lax.fori_loop(0, times, once, (arrays, jnp.zeros(shape.shape, shape.dtype)))[1]
