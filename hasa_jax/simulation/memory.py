"""How much memory a run needs, known before it starts.

Arrays are counted from shapes only. Activations of training are the values that `jax.vjp` keeps of
the real local step, those of evaluation the values that are alive at once in a forward pass,
whatever the architecture. XLA fuses, copies and reorders freely, so the sum is an estimate within a
factor of two of what its CPU compiler allots. What making the programs takes follows from the
operations of a local step, by factors that were measured with jax 0.10.2 on two CPU cores, where
the peak of a process was within 20 % of the sum.
"""

from __future__ import annotations

import dataclasses
import functools
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.extend import core

from hasa_jax import machine
from hasa_jax.base import ClientData, Params, PyTree, ServerState, UserError
from hasa_jax.client.batches import CALIBRATION_BATCH, take_batch
from hasa_jax.client.training import batch_loss
from hasa_jax.execution import sharding
from hasa_jax.execution.layout import Bucket, Layout, Slot
from hasa_jax.machine import readable
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.evaluation import chosen_clients, views
from hasa_jax.simulation.feed import check_streams
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round import RoundInputs, extract, init_state, local_task, prepare
from hasa_jax.simulation.trial import Trial
from hasa_jax.supernet import costs, label_rows, units
from hasa_jax.supernet.types import Context, Drawn, Model

_MOST_INDICES = 2**31 - 1  # Of int32.
_BATCH_BYTES = 24  # Of an example while batches are made: keys, draws, orders, indices.
_RECORD_BYTES = 56  # Of a record of a client: columns, and a client's part of what they are from.
_PLACED_BYTES = 250  # Of a client while the host places it in a turn.

# What making the programs takes for each operation of a local step that differs from the others in
# kind or shapes, and beside that for each convolution and each product; and what
# further buckets add to that.
_OPERATION_BYTES, _CONVOLUTION_BYTES, _PRODUCT_BYTES = 1_730_000, 28 * 2**20, 7 * 2**20
_BUCKET = 0.2


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
      evaluation: subnets, moments and activations of an evaluation; training and evaluation are
        not there at once.
      lanes: clients that run in one `vmap`.
      programs: what the process takes to trace and compile, about; less if they are in the cache.
      records: what the host holds of cohorts and of the records of all evaluations.
      process: what the process holds already: Python, libraries and data.
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
    evaluation: int
    lanes: int
    programs: int
    records: int
    process: int

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
        """Bytes of all arrays of a device."""
        return self.data + self.server + max(self.sums + self.per_block, self.evaluation)

    @property
    def host(self) -> int:
        """Bytes that the process takes on the host, beside what it holds already."""
        return self.programs + self.records

    def peak(self, devices: Sequence[Any]) -> int:
        """Returns the largest memory of the process, about.

        Args:
          devices: the `jax.Device`s of the run; those of a CPU share the memory of the process.
        """
        copies = len(devices) if devices[0].platform == "cpu" else 0
        return self.process + self.host + copies * self.total

    def describe(self) -> str:
        """Describes in one line what takes how much on a device."""
        names = ("params", "gradients", "optimizer", "activations", "batches", "inserted")
        parts = [f"{name} {readable(getattr(self, name))}" for name in names]
        return (
            f"{readable(self.total)} = data {readable(self.data)}, server "
            f"{readable(self.server)}, and to train sums {readable(self.sums)}, {self.lanes} x "
            f"{readable(self.per_lane)} for clients ({', '.join(parts)}), or to evaluate "
            f"{readable(self.evaluation)}"
        )

    def describe_process(self, devices: Sequence[Any]) -> str:
        """Describes in one line what the process takes.

        Args:
          devices: the `jax.Device`s of the run.
        """
        copies = len(devices) if devices[0].platform == "cpu" else 0
        arrays = f", {copies} x {readable(self.total)} for arrays of devices" if copies else ""
        return (
            f"about {readable(self.peak(devices))} at most = {readable(self.process)} that it "
            f"holds now, {readable(self.programs)} to compile, {readable(self.records)} for "
            f"cohorts and records{arrays}"
        )


def memory_need(
    program: Program,
    trials: Sequence[Trial],
    sizes_in_run: Any,
    *,
    num_rounds: int = 1,
    reporting: Reporting | None = None,
) -> MemoryNeed:
    """Predicts what one device needs to train and to evaluate, and what the process takes.

    Args:
      program: what is run.
      trials: the seeds that share the program.
      sizes_in_run: sizes that clients have in this run, with repeats.
      num_rounds: rounds of the run.
      reporting: what is evaluated, and when.

    Returns:
      The need.

    Raises:
      UserError: if the cohorts cannot be placed, the data cannot be streamed, or batches are
        larger than arrays can be.
    """
    method, training, model = program.method, program.training, program.model
    layout = cohorts.training_layout(program, trials, sizes_in_run)
    examples = training.local_epochs * layout.num_batches * training.batch_size
    if examples > _MOST_INDICES:
        raise UserError(
            f"the batches of a client's round have {examples} places, which is too large: lower "
            "`batch_size` or `local_epochs`"
        )
    splits = _splits_on_device(program, trials[0], layout)
    share = len(trials) // len(devices_of(program, len(trials))) if len(trials) > 1 else 1
    state = jax.eval_shape(functools.partial(init_state, program), jax.random.key(0))
    step = _trace_step(program, layout, state, splits[0])
    own, supernet = _bytes(step.params), _bytes(model.shapes)
    # With weights for each label row, weights are as large as kernels.
    inserted = supernet + (supernet if method.label_split else _bytes(step.masks))
    slots = layout.devices * layout.turns * layout.lanes
    # Masked clients start from the server's own copy.
    masked = program.execution.mode == "masked"
    return MemoryNeed(
        data=share * sum(_bytes(split) for split in splits),
        server=2 * share * _bytes(state),
        sums=inserted * (1 if method.robust == "none" else 2 * slots),
        params=own if masked else 2 * own,
        gradients=own,
        optimizer=_bytes(jax.eval_shape(program.rule.optimizer.init, step.params)),
        activations=step.activations,
        batches=_BATCH_BYTES * examples,
        inserted=inserted,
        evaluation=_evaluation(
            program, trials[0], layout, supernet, sizes_in_run, reporting or Reporting()
        ),
        lanes=layout.lanes,
        programs=_programs(program, layout, step.jaxpr),
        records=len(trials) * _records(program, trials[0], slots, num_rounds, reporting),
        process=machine.resident_bytes(),
    )


def _evaluation(
    program: Program, trial: Trial, layout: Layout, largest: int, sizes: Any, reporting: Reporting
) -> int:
    """Returns the bytes of an evaluation: of clients, or of the calibration before it.

    The supernet is evaluated too, so `largest` are the bytes of its parameters.
    """
    model, batch_size = program.model, program.training.batch_size
    clients = layout.lanes * (largest + _forward_bytes(model, batch_size))
    if not model.moments:
        return clients
    # Calibration sees mixed batches of the size that `batches.mixed_batches` gives them.
    train = trial.dataset.train
    batch = min(CALIBRATION_BATCH, len(train.targets))
    kinds = _kinds(program, reporting)
    calibrated = len(kinds) * len(chosen_clients(trial, reporting.eval_clients))
    if program.extraction.by_size:
        fixed = {size for size, _ in kinds if size is not None}
        calibrated = min(calibrated, len({*np.unique(sizes).tolist(), *fixed}))
    calibration = layout.lanes * (largest + _forward_bytes(model, batch))
    return calibrated * _bytes(model.moments) + max(clients, calibration)


def _kinds(program: Program, reporting: Reporting) -> set[tuple[int | None, bool]]:
    """Returns the sizes at which each client is evaluated, and whether on all classes."""
    return {(view.size, view.all_classes) for view in views(program, reporting.levels)}


def _forward_bytes(model: Model, batch: int) -> int:
    """Returns the bytes that are alive at once in a forward pass of a batch."""
    inputs = jax.ShapeDtypeStruct((batch, *model.input_shape), model.input_dtype)
    forward = functools.partial(model.apply, context=Context(defer_logits=True))
    return _alive(jax.make_jaxpr(forward)(model.shapes, inputs).jaxpr)


def _alive(jaxpr: Any) -> int:
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
        inner = max((_alive(sub) for sub in costs.inner_jaxprs(equation.params)), default=0)
        made = _bytes([value.aval for value in equation.outvars])
        most = max(most, alive + max(made, inner))
        alive += _bytes([value.aval for value in equation.outvars if value in last])
        used = {value for value in equation.invars if isinstance(value, core.Var)} - inputs
        alive -= _bytes([value.aval for value in used if last[value] == number])
    return most


def _programs(program: Program, layout: Layout, jaxpr: Any) -> int:
    """Returns about what the process takes to trace and compile the programs of a run."""
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


def _records(
    program: Program, trial: Trial, slots: int, num_rounds: int, reporting: Reporting | None
) -> int:
    """Returns the bytes of cohorts, and of the records of all evaluations, on the host."""
    reporting = reporting or Reporting()
    evaluated = len(chosen_clients(trial, reporting.eval_clients))
    evaluations = -(-num_rounds // reporting.eval_every)
    # Streamed cohorts are drawn for all rounds at once.
    drawn = num_rounds if program.execution.stream else min(num_rounds, reporting.eval_every)
    slot_bytes = 4 * (6 + len(program.model.groups))
    of_views = evaluated * len(views(program, {})) * evaluations
    placed = evaluated * len(_kinds(program, reporting))
    return _RECORD_BYTES * of_views + _PLACED_BYTES * placed + drawn * slots * slot_bytes


def devices_of(program: Program, trials: int) -> list[Any]:
    """Returns the `jax.Device`s that share a cohort, or share the trials of a program."""
    devices = program.execution.devices
    used = sharding.devices_for_trials(devices, trials) if trials > 1 else devices
    return jax.devices()[:used]


def check_fits(need: MemoryNeed, available: int | None, devices: Sequence[Any]) -> None:
    """Refuses a run that its devices have no room for.

    Args:
      need: what each device needs.
      available: bytes that a device has, from `machine.available_bytes`; None passes.
      devices: the `jax.Device`s that share a cohort.

    Raises:
      UserError: if the need is larger.
    """
    # Devices of a CPU are threads of one process, which also compiles.
    on_host = devices[0].platform == "cpu"
    copies, host = (len(devices), need.host) if on_host else (1, 0)
    if available is None or copies * need.total + host <= available:
        return
    share = max(0, available - host) // copies
    steps = ["a smaller `batch_size`, then a smaller `hidden`"]
    streams = need.data > share // 2
    room = share - need.total + need.per_block + streams * need.data
    if (block := max(1, room // need.per_lane)) < need.lanes:
        steps.insert(0, f"`client_block` {block}")
    if streams:
        steps.insert(0, "`stream`, which keeps only a round's examples on the device")
    if on_host and need.records > available // 2:
        steps = ["fewer `eval_clients`, or another `eval_every`"]
    who = f"{copies} host devices, which share one memory, need" if copies > 1 else "a device needs"
    beside = f" and {readable(host)} to compile and to record" if host else ""
    raise UserError(
        f"{who} about {readable(copies * need.total)}{beside}, but {readable(available)} are "
        f"available: use {', then '.join(steps)} (a device: {need.describe()})"
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


class _Step(NamedTuple):
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


def _trace_step(program: Program, layout: Layout, state: ServerState, data: ClientData) -> _Step:
    """Traces a local step of the largest bucket."""
    slot = Slot(
        entry=jax.ShapeDtypeStruct((), jnp.int32),
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
    return _Step(params, masks, _bytes([value.aval for value in kept]), closed.jaxpr)


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
        return batch_loss(params, subnet, task, rule, batch, drawn)

    return subnet.params, subnet.masks, jax.vjp(loss, subnet.params, has_aux=True)[1]


def _bytes(tree: PyTree) -> int:
    """Counts the bytes of arrays, or of their shapes."""
    return sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
