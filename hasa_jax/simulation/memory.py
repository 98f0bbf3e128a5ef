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
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from hasa_jax import machine
from hasa_jax.base import ClientData, UserError
from hasa_jax.client.batches import CALIBRATION_BATCH
from hasa_jax.execution.layout import Layout
from hasa_jax.execution.mesh import mesh_of
from hasa_jax.machine import readable
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.feed import check_streams, held_at, homes_by_process, resident_homes
from hasa_jax.simulation.held import held_by_slots, most_examples
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round import init_state
from hasa_jax.simulation.traced import bytes_of, bytes_of_programs, forward_bytes, trace_step
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import chosen_clients, views

_MOST_INDICES = 2**31 - 1  # Of int32.
_BATCH_BYTES = 24  # Of an example while batches are made: keys, draws, orders, indices.
_RECORD_BYTES = 56  # Of a record of a client: columns, and a client's part of what they are from.
_PLACED_BYTES = 250  # Of a client while the host places it in a turn.


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
    share = len(trials) // layout.mesh.seeds
    state = jax.eval_shape(functools.partial(init_state, program), jax.random.key(0))
    step = trace_step(program, layout, state, splits[0])
    own, supernet = bytes_of(step.params), bytes_of(model.shapes)
    # With weights for each label row, weights are as large as kernels.
    inserted = supernet + (supernet if method.label_split else bytes_of(step.masks))
    slots = layout.devices * layout.turns * layout.lanes
    # Masked clients start from the server's own copy.
    masked = program.execution.mode == "masked"
    return MemoryNeed(
        data=share * sum(bytes_of(split) for split in splits),
        server=2 * share * bytes_of(state) // layout.mesh.model,
        sums=inserted * (1 if method.robust == "none" else 2 * slots),
        params=own if masked else 2 * own,
        gradients=own,
        optimizer=bytes_of(jax.eval_shape(program.rule.optimizer.init, step.params)),
        activations=step.activations,
        batches=_BATCH_BYTES * examples,
        inserted=inserted,
        evaluation=_evaluation(
            program, trials[0], layout, supernet, sizes_in_run, reporting or Reporting()
        ),
        lanes=layout.lanes,
        programs=bytes_of_programs(layout, step.jaxpr),
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
    clients = layout.lanes * (largest + forward_bytes(model, batch_size))
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
    calibration = layout.lanes * (largest + forward_bytes(model, batch))
    return calibrated * bytes_of(model.moments) + max(clients, calibration)


def _kinds(program: Program, reporting: Reporting) -> set[tuple[int | None, bool]]:
    """Returns the sizes at which each client is evaluated, and whether on all classes."""
    return {(view.size, view.all_classes) for view in views(program, reporting.levels)}


def _records(
    program: Program, trial: Trial, slots: int, num_rounds: int, reporting: Reporting | None
) -> int:
    """Returns the bytes of cohorts, and of the records of all evaluations, on the host."""
    reporting = reporting or Reporting()
    evaluated = len(chosen_clients(trial, reporting.eval_clients))
    evaluations = -(-num_rounds // reporting.eval_every)
    # Streamed cohorts are drawn round by round, the next one meanwhile.
    drawn = min(num_rounds, 2 if program.execution.stream else reporting.eval_every)
    slot_bytes = 4 * (6 + len(program.model.groups))
    of_views = evaluated * len(views(program, {})) * evaluations
    placed = evaluated * len(_kinds(program, reporting))
    return _RECORD_BYTES * of_views + _PLACED_BYTES * placed + drawn * slots * slot_bytes


def devices_of(program: Program, trials: int) -> list[Any]:
    """Returns the `jax.Device`s of this process that some trials run on."""
    here = jax.process_index()
    return [d for d in mesh_of(program.mesh(trials)).devices.flat if d.process_index == here]


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
    """Returns shapes of the data of one trial that are on a device; training data first."""
    data = trial.dataset
    splits = [data.train, data.validation, data.test]
    splits += [] if trial.held_out is None else [trial.held_out.examples]
    if program.execution.stream:
        check_streams(program.model)
        cohort = cohorts.draw(program, layout, trial, 0, homes_by_process(trial, layout.mesh))
        held = held_by_slots(cohorts.stack([cohort]))
        # Those of the next round are read meanwhile.
        splits = [data.train, data.train]
    else:
        held = [held_at(resident_homes(program, trial, layout), layout.mesh)]
    found = [_cut(split, most_examples([split], held)) for split in splits]
    return [*found, data.train] if program.model.moments else found


def _cut(split: ClientData, count: int) -> ClientData:
    """Returns the shape of some examples of a split."""
    inputs, targets = (
        jax.ShapeDtypeStruct((count, *values.shape[1:]), values.dtype)
        for values in (split.inputs, split.targets)
    )
    return dataclasses.replace(split, inputs=inputs, targets=targets)
