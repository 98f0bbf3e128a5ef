"""How much memory a run needs, known before it starts, and how much there is.

Parts are counted from shapes only. Activations are the values that `jax.vjp` keeps of the real
local step, whatever the architecture. XLA fuses, copies and reorders freely, so the sum is an
estimate within a factor of two of what its CPU compiler allots: a quarter high for Transformers,
40 % low for ResNets. Evaluation, calibration of static norms included, is not counted.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend import core

from hasa_jax.base import ClientData, Params, PyTree, ServerState, UserError
from hasa_jax.client.batches import take_batch
from hasa_jax.client.training import batch_loss
from hasa_jax.execution import sharding
from hasa_jax.execution.layout import Bucket, Layout, Slot
from hasa_jax.machine import readable
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.feed import check_streams
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round import RoundInputs, extract, init_state, local_task, prepare
from hasa_jax.simulation.trial import Trial
from hasa_jax.supernet import label_rows, units
from hasa_jax.supernet.types import Drawn

_BATCH_BYTES = 24  # Of an example while batches are made: keys, draws, orders, indices.


@dataclasses.dataclass(frozen=True)
class MemoryNeed:
    """Bytes that one device needs; a client's parts are those of the largest bucket.

    Attributes:
      data: examples of all splits that are on the device.
      server: supernet and server optimizer state, before and after a round.
      sums: sums of updates and of their weights; a robust mean needs every update of a round
        instead, and a sorted copy.
      params: what a client trains, and what it was sent if that is a copy of its own.
      gradients: gradients of what it trains.
      optimizer: local optimizer state.
      activations: what the backward pass of a local step needs.
      batches: which examples make up its batches.
      inserted: its update and weights in supernet coordinates.
      lanes: clients that run in one `vmap`.
    """

    data: int
    server: int
    sums: int
    params: int
    gradients: int
    optimizer: int
    activations: int
    batches: int
    inserted: int
    lanes: int

    @property
    def per_lane(self) -> int:
        """Bytes of one client: while it trains, or while its update is inserted."""
        training = self.gradients + self.optimizer + self.activations + self.batches
        return self.params + max(training, self.inserted)

    @property
    def per_block(self) -> int:
        """Bytes of the clients that run in one `vmap`."""
        return self.lanes * self.per_lane

    @property
    def total(self) -> int:
        """Bytes of everything."""
        return self.data + self.server + self.sums + self.per_block

    def describe(self) -> str:
        """Describes in one line what takes how much."""
        names = [field.name for field in dataclasses.fields(self)]
        parts = [f"{name} {readable(getattr(self, name))}" for name in names[:-1]]
        return (
            f"{readable(self.total)} = {', '.join(parts[:3])}, {self.lanes} x "
            f"{readable(self.per_lane)} for clients ({', '.join(parts[3:])})"
        )


def memory_need(program: Program, trials: Sequence[Trial], sizes_in_run: Any) -> MemoryNeed:
    """Predicts what one device needs to train.

    Args:
      program: what is run.
      trials: the seeds that share the program.
      sizes_in_run: sizes that clients have in this run, with repeats.

    Returns:
      The need.

    Raises:
      UserError: if the cohorts cannot be placed, or the data cannot be streamed.
    """
    method, training, model = program.method, program.training, program.model
    layout = cohorts.training_layout(program, trials, sizes_in_run)
    splits = _splits_on_device(program, trials[0], layout)
    share = len(trials) // len(devices_of(program, len(trials))) if len(trials) > 1 else 1
    state = jax.eval_shape(functools.partial(init_state, program), jax.random.key(0))
    params, masks, activations = _trace_step(program, layout, state, splits[0])
    own, supernet = _bytes(params), _bytes(model.shapes)
    # With weights for each label row, weights are as large as kernels.
    inserted = supernet + (supernet if method.label_split else _bytes(masks))
    slots = layout.devices * layout.turns * layout.lanes
    # Masked clients start from the server's own copy.
    masked = program.execution.mode == "masked"
    examples = training.local_epochs * layout.num_batches * training.batch_size
    return MemoryNeed(
        data=share * sum(_bytes(split) for split in splits),
        server=2 * share * _bytes(state),
        sums=inserted * (1 if method.robust == "none" else 2 * slots),
        params=own if masked else 2 * own,
        gradients=own,
        optimizer=_bytes(jax.eval_shape(program.rule.optimizer.init, params)),
        activations=activations,
        batches=_BATCH_BYTES * examples,
        inserted=inserted,
        lanes=layout.lanes,
    )


def devices_of(program: Program, trials: int) -> list[Any]:
    """Returns the `jax.Device`s that share a cohort, or share the trials of a program."""
    devices = program.execution.devices
    used = sharding.devices_for_trials(devices, trials) if trials > 1 else devices
    return jax.devices()[:used]


def check_fits(need: MemoryNeed, available: int | None, devices: Sequence[Any]) -> None:
    """Refuses a run that its devices have no room for.

    Args:
      need: what each device needs.
      available: bytes that a device has, from `available_bytes`; None passes.
      devices: the `jax.Device`s that share a cohort.

    Raises:
      UserError: if the need is larger.
    """
    # Devices of a CPU are threads of one process.
    copies = len(devices) if devices[0].platform == "cpu" else 1
    if available is None or copies * need.total <= available:
        return
    share, steps = available // copies, ["a smaller `batch_size`, then a smaller `hidden`"]
    streams = need.data > share // 2
    room = share - need.total + need.per_block + streams * need.data
    if (block := max(1, room // need.per_lane)) < need.lanes:
        steps.insert(0, f"`client_block` {block}")
    if streams:
        steps.insert(0, "`stream`, which keeps only a round's examples on the device")
    who = f"{copies} host devices, which share one memory, need" if copies > 1 else "a device needs"
    raise UserError(
        f"{who} about {readable(copies * need.total)}, but {readable(available)} are available: "
        f"use {', then '.join(steps)} (a device: {need.describe()})"
    )


def _splits_on_device(program: Program, trial: Trial, layout: Layout) -> list[ClientData]:
    """Returns the data of one trial that are on a device, or their shapes; training data first."""
    data = trial.dataset
    if not program.execution.stream:
        return [data.train, data.validation, data.test]
    check_streams(program.model)
    clients = cohorts.clients_of(cohorts.draw(program, layout, trial, 0))
    count = int(data.train.num_examples[clients].sum())

    def cut(values: Any) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct((count, *values.shape[1:]), values.dtype)

    part = dataclasses.replace(
        data.train, inputs=cut(data.train.inputs), targets=cut(data.train.targets)
    )
    return [part, part]


def _trace_step(
    program: Program, layout: Layout, state: ServerState, data: ClientData
) -> tuple[Params, PyTree, int]:
    """Traces a local step: shapes of params and masks, bytes that its backward pass needs."""
    slot = Slot(
        client=jax.ShapeDtypeStruct((), jnp.int32),
        width=jax.ShapeDtypeStruct((), jnp.float32),
        kept={
            group: jax.ShapeDtypeStruct((), jnp.int32) for group, _ in layout.buckets[0].shape.kept
        },
        exits=jax.ShapeDtypeStruct((), jnp.int32),
        weight=jax.ShapeDtypeStruct((), jnp.float32),
        steps=jax.ShapeDtypeStruct((), jnp.int32),
    )
    # The largest bucket comes first.
    residuals = functools.partial(_residuals, program, layout.buckets[0], layout.num_batches)
    closed, (params, masks, _) = jax.make_jaxpr(residuals, return_shape=True)(state, data, slot)
    outputs = closed.jaxpr.outvars
    own, first = (len(jax.tree.leaves(tree)) for tree in (params, (params, masks)))
    # A value that is kept for two operations is one; parameters are counted elsewhere.
    kept = {value for value in outputs[first:] if isinstance(value, core.Var)}
    kept -= {*outputs[:own], *closed.jaxpr.invars}
    return params, masks, _bytes([value.aval for value in kept])


def _residuals(
    program: Program,
    bucket: Bucket,
    num_batches: int,
    state: ServerState,
    data: ClientData,
    slot: Slot,
) -> tuple[Params, PyTree, PyTree]:
    """Returns params and masks of a subnet, and what the backward pass of a local step keeps."""
    prepared = prepare(program, state)
    own_classes = program.method.objective.own_classes
    classes = label_rows.present_classes(data) if own_classes else None
    finite = jnp.bool_(True)
    inputs = RoundInputs(state, data, prepared, classes, None, finite, num_batches)
    subnet = extract(program, state, data, prepared, slot, bucket)
    task = local_task(program, inputs, None, slot)
    batch = take_batch(data, task.batches, jnp.int32(0))
    rule = program.rule
    drawn = None
    if rule.levels:
        own = Drawn(subnet.width, subnet.kept)
        drawn = units.draw_kept(task.key, program.model, rule.levels, own)

    def loss(params: Params) -> tuple[jax.Array, Any]:
        return batch_loss(params, subnet, task, rule, batch, drawn, None)

    return subnet.params, subnet.masks, jax.vjp(loss, subnet.params, has_aux=True)[1]


def _bytes(tree: PyTree) -> int:
    """Counts the bytes of arrays, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
