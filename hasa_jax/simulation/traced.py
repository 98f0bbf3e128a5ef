"""What a trace says of memory: of a local step, of a forward pass, and of compiling them.

Nothing is computed: values are counted from their shapes.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend import core

from hasa_jax.base import ClientData, Params, PyTree, ServerState
from hasa_jax.client.training import batch_loss, local_batch
from hasa_jax.execution.layout import Bucket, Layout, Slot
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round import local_task, train_client
from hasa_jax.simulation.round_inputs import extract, round_inputs
from hasa_jax.supernet import costs
from hasa_jax.supernet.types import Context, Model

# What making the programs takes for each operation of a local step that differs from the others in
# kind or shapes, and beside that for each convolution and each product; and what
# further buckets add to that.
_OPERATION_BYTES, _CONVOLUTION_BYTES, _PRODUCT_BYTES = 1_730_000, 28 * 2**20, 7 * 2**20
_BUCKET = 0.2


class TracedStep(NamedTuple):
    """What a trace of a local step says.

    Attributes:
      params: shapes of what is trained.
      masks: shapes of the masks.
      activations: bytes that the backward pass needs.
      jaxpr: the forward pass, with what it is made from.
    """

    params: Params
    masks: PyTree
    activations: int
    jaxpr: Any


def trace_step(
    program: Program, layout: Layout, state: ServerState, data: ClientData
) -> TracedStep:
    """Traces a local step of the largest bucket.

    Args:
      program: what is run.
      layout: of the cohorts.
      state: shapes of the server's state.
      data: training examples of all clients, or their shapes.

    Returns:
      What the trace says.
    """
    slot = _slot_shapes(layout)
    # The largest bucket comes first.
    residuals = functools.partial(_residuals, program, layout.buckets[0], layout.num_batches)
    closed, (params, masks, _) = jax.make_jaxpr(residuals, return_shape=True)(state, data, slot)
    outputs = closed.jaxpr.outvars
    own, first = (len(jax.tree.leaves(tree)) for tree in (params, (params, masks)))
    # A value that is kept for two operations is one; parameters are counted elsewhere.
    kept = {value for value in outputs[first:] if isinstance(value, core.Var)}
    kept -= {*outputs[:own], *closed.jaxpr.invars}
    return TracedStep(params, masks, bytes_of([value.aval for value in kept]), closed.jaxpr)


def message_bytes(program: Program, layout: Layout, state: ServerState, data: ClientData) -> int:
    """Counts the bytes of a round's sums, which devices that share a cohort add up.

    Args:
      program: what is run.
      layout: of the cohorts.
      state: shapes of the server's state.
      data: training examples of all clients, or their shapes.

    Returns:
      Bytes of the updates' sum, of the weights' sum, and of the mass. Weights have size 1 along
      axes that are never cut.
    """

    def sums(state: ServerState, data: ClientData, slot: Slot) -> PyTree:
        inputs = round_inputs(program, state, data, layout.num_batches)
        return train_client(program, inputs, layout.buckets[0], None, slot)[0]

    return bytes_of(jax.eval_shape(sums, state, data, _slot_shapes(layout)))


def _slot_shapes(layout: Layout) -> Slot:
    """Returns the shapes of one client's slot."""
    return Slot(
        entry=jax.ShapeDtypeStruct((), jnp.int32),
        client=jax.ShapeDtypeStruct((), jnp.int32),
        local=jax.ShapeDtypeStruct((), jnp.int32),
        width=jax.ShapeDtypeStruct((), jnp.float32),
        kept={
            group: jax.ShapeDtypeStruct((), jnp.int32) for group, _ in layout.buckets[0].shape.kept
        },
        exits=jax.ShapeDtypeStruct((), jnp.int32),
        weight=jax.ShapeDtypeStruct((), jnp.float32),
        steps=jax.ShapeDtypeStruct((), jnp.int32),
        hostile=jax.ShapeDtypeStruct((), jnp.bool_),
    )


def _residuals(
    program: Program,
    bucket: Bucket,
    num_batches: int,
    state: ServerState,
    data: ClientData,
    slot: Slot,
) -> tuple[Params, PyTree, PyTree]:
    """Returns params and masks of a subnet, and what the backward pass of a local step keeps."""
    inputs = round_inputs(program, state, data, num_batches)
    subnet = extract(program, state, data, inputs.prepared, slot, bucket)
    task = local_task(program, inputs, None, slot)
    rule = program.rule
    batch, draws = local_batch(subnet, data, task, rule, jnp.int32(0))

    def loss(params: Params) -> tuple[jax.Array, Any]:
        return batch_loss(params, subnet, task, rule, batch, draws)

    return subnet.params, subnet.masks, jax.vjp(loss, subnet.params, has_aux=True)[1]


def bytes_of(tree: PyTree) -> int:
    """Counts the bytes of arrays, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def forward_bytes(model: Model, batch: int) -> int:
    """Returns the bytes that are alive at once in a forward pass of a batch."""
    inputs = jax.ShapeDtypeStruct((batch, *model.input_shape), model.input_dtype)
    forward = functools.partial(model.apply, context=Context(defer_logits=True))
    return bytes_alive(jax.make_jaxpr(forward)(model.shapes, inputs).jaxpr)


def bytes_alive(jaxpr: Any) -> int:
    """Returns the most bytes that values of a jaxpr take at once, its inputs left out."""
    last = {
        value: number
        for number, equation in enumerate(jaxpr.eqns)
        for value in equation.invars
        if isinstance(value, core.Var)
    }
    last |= {value: len(jaxpr.eqns) for value in jaxpr.outvars if isinstance(value, core.Var)}
    inputs = {*jaxpr.invars, *jaxpr.constvars}
    alive, most = 0, 0
    for number, equation in enumerate(jaxpr.eqns):
        inner = max((bytes_alive(sub) for sub in costs.inner_jaxprs(equation.params)), default=0)
        made = bytes_of([value.aval for value in equation.outvars])
        most = max(most, alive + max(made, inner))
        alive += bytes_of([value.aval for value in equation.outvars if value in last])
        used = {value for value in equation.invars if isinstance(value, core.Var)} - inputs
        alive -= bytes_of([value.aval for value in used if last[value] == number])
    return most


def bytes_of_programs(layout: Layout, jaxpr: Any) -> int:
    """Returns about what the process takes to trace and compile the programs of a run.

    Args:
      layout: of the cohorts.
      jaxpr: of a local step.

    Returns:
      Bytes.
    """
    found = [*_operations(jaxpr)]
    kinds = Counter(equation.primitive.name for equation in found)
    distinct = {
        (equation.primitive.name, *(str(v.aval) for v in (*equation.invars, *equation.outvars)))
        for equation in found
    }
    operations = _OPERATION_BYTES * len(distinct)
    kernels = _CONVOLUTION_BYTES * kinds["conv_general_dilated"]
    kernels += _PRODUCT_BYTES * kinds["dot_general"]
    return int((operations + kernels) * (1 + _BUCKET * (len(layout.buckets) - 1)))


def _operations(jaxpr: Any) -> Iterator[Any]:
    """Yields the equations of a jaxpr and of the jaxprs inside it."""
    for equation in jaxpr.eqns:
        yield equation
        for inner in costs.inner_jaxprs(equation.params):
            yield from _operations(inner)
