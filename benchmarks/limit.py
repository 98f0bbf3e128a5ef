"""What the machine could do: the least seconds of what a round cannot do without.

That is the useful products of all local steps, one reading and one writing of what the optimizer
changes in each of them, and one reading of every client's parameters for the mean. Loss, norms,
batches and bookkeeping cost nothing here. Every part is timed in the fastest of several forms: its
layouts, one client or several in a stack, by itself or with the other products of its step,
on one device or on all. So a round that runs the same products does not get below it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from benchmarks import forms, timing
from benchmarks.base import Workload, work_of
from benchmarks.products import Product, step_products
from hasa_jax.supernet import costs

FLOAT_BYTES = 4

_EXPLORED, _MOST_EXPLORED = 0.95, 16
"""Share of the seconds of all products whose products are tried in every form, and how many."""

_MOST_CLIENTS, _MOST_STACK = 64, 2**28
"""Most clients, and most bytes, of a stack."""

_MOST_IN_SEQUENCE = 64
"""Most products of a step that is also timed as one sequence."""


class Work(NamedTuple):
    """What the clients of one size do in a round, on average over some rounds.

    Attributes:
      clients: how many there are.
      steps: of all of them.
      parameters: floats that one of them trains.
      optimizer_floats: floats that a step of its optimizer reads and writes.
      step: how often a step computes each product.
      useful: share of the output layer's products that targets with a loss need.
    """

    clients: float
    steps: float
    parameters: int
    optimizer_floats: int
    step: Mapping[Product, float]
    useful: float

    @property
    def products(self) -> dict[Product, float]:
        """How often each product is useful in a round; logits of padding do not count."""
        return {
            product: self.steps * times * (self.useful if product.output_layer else 1.0)
            for product, times in self.step.items()
        }

    @property
    def sequence(self) -> tuple[Product, ...]:
        """The products of a step without the output layer's; empty if they are no short list."""
        inner = {one: times for one, times in self.step.items() if not one.output_layer}
        countable = all(times == int(times) for times in inner.values())
        if not countable or sum(inner.values()) > _MOST_IN_SEQUENCE:
            return ()
        return tuple(product for product, times in inner.items() for _ in range(int(times)))


Key = Product | tuple[Product, ...] | int
"""What is timed: a product, the products of a step, or so many floats in place."""


class Measured(NamedTuple):
    """What was timed.

    Attributes:
      works: a round's work, by size.
      best: the fastest way to compute each part.
      explored: the parts that were tried in every form, and that `again` times again.
    """

    works: Mapping[int, Work]
    best: Mapping[Key, timing.Best]
    explored: frozenset[Key]


class Limit(NamedTuple):
    """The least seconds of a round, and where they go.

    Attributes:
      seconds: of a round: products, optimizer and mean.
      product_seconds: of its products alone.
      flops: useful floating-point operations of a round's products.
      gflops: of them in a second, in 1e9.
      optimizer_seconds: of a round's optimizer steps.
      optimizer_bytes: that they read and write.
      mean_seconds: of reading every client's parameters for the mean.
      mean_bytes: that it reads.
      gigabytes: of the bytes in a second.
      sizes_in_sequence: sizes whose products are faster as one sequence.
      products: the products that take most, as `{product, form, devices, times, seconds, gflops}`,
        each by itself.
    """

    seconds: float
    product_seconds: float
    flops: float
    gflops: float
    optimizer_seconds: float
    optimizer_bytes: float
    mean_seconds: float
    mean_bytes: float
    gigabytes: float
    sizes_in_sequence: list[int]
    products: list[dict[str, Any]]


def works_of(workload: Workload, num_rounds: int) -> dict[int, Work]:
    """Counts the work of a round.

    Args:
      workload: the workload.
      num_rounds: rounds whose mean is taken.

    Returns:
      The work of the clients of each size.
    """
    model, extraction = workload.program.model, workload.program.extraction
    listed = [work for round in range(num_rounds) for work in work_of(workload, round)]
    found = {}
    for size in sorted({work.size for work in listed}):
        own = [work for work in listed if work.size == size]
        steps = sum(work.steps for work in own)
        shape = extraction.shape(model, size)
        parameters = costs.parameter_count(model, dict(shape.kept), shape.exits)
        found[size] = Work(
            clients=len(own) / num_rounds,
            steps=steps / num_rounds,
            parameters=parameters,
            optimizer_floats=workload.optimizer_arrays * parameters,
            step=step_products(workload, size),
            useful=sum(work.steps * work.useful for work in own) / steps,
        )
    return found


def useful_products(works: Mapping[int, Work]) -> dict[Product, float]:
    """Returns how often each product is useful in a round, whatever the sizes that compute it."""
    counted: dict[Product, float] = {}
    for work in works.values():
        for product, times in work.products.items():
            counted[product] = counted.get(product, 0.0) + times
    return counted


def useful_flops(works: Mapping[int, Work]) -> float:
    """Counts the useful floating-point operations of a round's products."""
    return sum(2.0 * product.macs * times for product, times in useful_products(works).items())


def measure(works: Mapping[int, Work], copies: int) -> Measured:
    """Times every part of a round.

    Args:
      works: a round's work, by size.
      copies: devices; a part may also run on all of them at once, one copy each.

    Returns:
      What was found.
    """
    counted = useful_products(works)
    best: dict[Key, timing.Best] = {
        product: timing.fastest([forms.as_traced(product)], copies) for product in counted
    }
    explored: set[Key] = set()
    for product in _most_costly(counted, best):
        others = list(forms.variants(product, _stack(product, works)))
        best[product] = min(
            best[product], timing.fastest(others, copies), key=lambda found: found.seconds
        )
        explored.add(product)
    for work in works.values():
        for floats in (work.optimizer_floats, work.parameters):
            best[floats] = timing.fastest([forms.passes_in_place(floats)], copies)
            explored.add(floats)
        if sequence := work.sequence:
            best[sequence] = timing.fastest([forms.sequence(sequence)], copies)
            explored.add(sequence)
    return again(Measured(works, best, frozenset(explored)))


def again(measured: Measured) -> Measured:
    """Times again, for longer, what takes most of the limit.

    Args:
      measured: what was found.

    Returns:
      The same, with the least seconds so far.
    """
    longer = {key: timing.again(measured.best[key]) for key in measured.explored}
    return measured._replace(best={**measured.best, **longer})


def _most_costly(
    counted: Mapping[Product, float], best: Mapping[Key, timing.Best]
) -> list[Product]:
    """Lists the products that take nearly all of the seconds."""
    seconds = {product: times * best[product].seconds for product, times in counted.items()}
    listed, left = [], _EXPLORED * sum(seconds.values())
    for product in sorted(seconds, key=lambda one: -seconds[one])[:_MOST_EXPLORED]:
        if left > 0:
            listed.append(product)
        left -= seconds[product]
    return listed


def _stack(product: Product, works: Mapping[int, Work]) -> int:
    """Returns how many clients of a round could compute a product in one stack."""
    clients = sum(work.clients for work in works.values() if product in work.step)
    floats = sum(math.prod(shape) for shape in product.shapes)
    room = _MOST_STACK // (FLOAT_BYTES * floats)
    return max(1, min(int(clients), room, _MOST_CLIENTS))


def limit_of(measured: Measured, listed: int = 12) -> Limit:
    """Adds up the limit of a round.

    Args:
      measured: what was timed.
      listed: products to list.

    Returns:
      The limit.
    """
    best, works = measured.best, measured.works
    products = optimizer = mean = optimizer_bytes = mean_bytes = 0.0
    in_sequence = []
    for size, work in works.items():
        apart, joint = _product_seconds(work, best)
        products += min(apart, joint)
        in_sequence += [size] if joint < apart else []
        optimizer += work.steps * best[work.optimizer_floats].seconds
        optimizer_bytes += 2 * FLOAT_BYTES * work.steps * work.optimizer_floats
        # In place, half of the passes read.
        mean += work.clients * best[work.parameters].seconds / 2
        mean_bytes += FLOAT_BYTES * work.clients * work.parameters
    flops = useful_flops(works)
    return Limit(
        seconds=products + optimizer + mean,
        product_seconds=products,
        flops=flops,
        gflops=1e-9 * flops / products,
        optimizer_seconds=optimizer,
        optimizer_bytes=optimizer_bytes,
        mean_seconds=mean,
        mean_bytes=mean_bytes,
        gigabytes=1e-9 * (optimizer_bytes + mean_bytes) / (optimizer + mean),
        sizes_in_sequence=in_sequence,
        products=_listed(useful_products(works), best)[:listed],
    )


def _product_seconds(work: Work, best: Mapping[Key, timing.Best]) -> tuple[float, float]:
    """Returns the seconds of a size's products in a round: each by itself, and in sequence."""
    seconds = {product: times * best[product].seconds for product, times in work.products.items()}
    apart = sum(seconds.values())
    if not work.sequence:
        return apart, math.inf
    outputs = sum(seconds[product] for product in seconds if product.output_layer)
    return apart, work.steps * best[work.sequence].seconds + outputs


def _listed(
    counted: Mapping[Product, float], best: Mapping[Key, timing.Best]
) -> list[dict[str, Any]]:
    """Describes the products, those that take most first."""
    described = [
        {
            "product": str(product),
            "form": best[product].form.name,
            "devices": best[product].devices,
            "times": times,
            "seconds": times * best[product].seconds,
            "gflops": 2e-9 * product.macs / best[product].seconds,
        }
        for product, times in counted.items()
    ]
    return sorted(described, key=lambda one: -one["seconds"])
