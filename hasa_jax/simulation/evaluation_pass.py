"""One evaluation of a cohort, as one straight line.

subnets -> calibration of static norms -> examples -> sums. The loop of turns that trains a cohort
also evaluates one and calibrates one.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import flax.struct
import jax
import jax.numpy as jnp

from hasa_jax.base import ClientData, ClientMetrics, PyTree, ServerState
from hasa_jax.client import batches as batching
from hasa_jax.client.calibration import calibrate
from hasa_jax.client.evaluation import EvaluationTask, evaluate_client
from hasa_jax.execution.layout import Bucket, Cohort, Slot
from hasa_jax.execution.loop import run_cohort
from hasa_jax.execution.sharding import (
    EACH,
    SPREAD,
    data_spec,
    gather_clients,
    over_mesh,
    own_part,
)
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round_inputs import extract, prepare
from hasa_jax.supernet import label_rows
from hasa_jax.supernet.subnet import Subnet, forward


@flax.struct.dataclass
class Asked:
    """What is asked of each entry of an evaluated cohort.

    Attributes:
      splits: whether each split is evaluated `[n, S]`, bool.
      hides: whether the classes that are absent from the client's training data are hidden `[n]`,
        bool.
    """

    splits: Any
    hides: Any


class EvaluationInputs(NamedTuple):
    """What all clients of a device share in an evaluation.

    Attributes:
      state: the server's state; the subnets are those of its current round.
      splits: examples to evaluate, of the device's clients in each split.
      train: their training examples, which name a client's own classes, and inform extractions
        that look at data.
      asked: what is evaluated.
      calibrated: moments of the subnets; None for a model without static norms.
    """

    state: ServerState
    splits: tuple[ClientData, ...]
    train: ClientData
    asked: Asked
    calibrated: Calibrated | None


class Calibration(NamedTuple):
    """What static norms are calibrated on.

    Attributes:
      cohort: entries whose subnets represent those of all; local by their ids.
      train: training examples of all clients.
    """

    cohort: Cohort
    train: ClientData


@flax.struct.dataclass
class Calibrated:
    """Moments of static norms of some subnets, which represent all.

    Attributes:
      slots: whose subnets they are `[R]`.
      moments: as `Model.moments` `[R, ...]`; of a narrow subnet in its own order of units, with
        zeros after them.
    """

    slots: Slot
    moments: PyTree


def evaluate_cohort(
    program: Program,
    state: ServerState,
    splits: tuple[ClientData, ...],
    train: ClientData,
    asked: Asked,
    cohort: Cohort,
    calibration: Calibration | None,
) -> ClientMetrics:
    """Evaluates every entry's subnet on its client's own examples.

    Args:
      program: what is run (static).
      state: the server's state.
      splits: examples in each split, of all clients; or of the clients of each device `[P, ...]`.
      train: training examples, likewise.
      asked: what is evaluated of each entry.
      cohort: clients and sizes; a client has an entry for each size. Full sizes evaluate the
        supernet.
      calibration: where norms are static, what they are calibrated on.

    Returns:
      Sums over examples `[P, V, L, S]`, as the cohort's entries; 0 in splits that are not asked.
    """
    arguments = (state, splits, train, asked, cohort, calibration)
    stacked = jax.tree.map(lambda x: jnp.asarray(x)[None], arguments)
    return jax.tree.map(lambda x: x[0], evaluate_trials(program, *stacked))


def evaluate_trials(
    program: Program,
    states: ServerState,
    splits: tuple[ClientData, ...],
    train: ClientData,
    asked: Asked,
    cohort: Cohort,
    calibration: Calibration | None,
) -> ClientMetrics:
    """Evaluates the entries of several trials: `evaluate_cohort` with leaves `[E, ...]`."""
    where = calibration and calibration._replace(**{"cohort": SPREAD, "train": EACH})
    return over_mesh(
        functools.partial(_evaluate_device, program),
        cohort.layout.mesh,
        (EACH, tuple(map(data_spec, splits)), data_spec(train), EACH, SPREAD, where),
        SPREAD,
        states,
        splits,
        train,
        asked,
        cohort,
        calibration,
    )


def _evaluate_device(
    program: Program,
    state: ServerState,
    splits: tuple[ClientData, ...],
    train: ClientData,
    asked: Asked,
    cohort: Cohort,
    calibration: Calibration | None,
) -> ClientMetrics:
    """Evaluates the entries of one device `[1, V, L]`."""
    train = own_part(train)
    splits = tuple(map(own_part, splits))
    calibrated = calibration and _calibrate_device(program, state, calibration)
    inputs = EvaluationInputs(state, splits, train, asked, calibrated)
    hides = program.method.objective.own_classes
    classes = label_rows.present_classes(train) if hides else None
    prepared = prepare(program, state)
    num_batches = cohort.layout.num_batches
    client_fn = functools.partial(_evaluate_slot, program, inputs, prepared, classes, num_batches)
    return run_cohort(client_fn, cohort)[1]


def _evaluate_slot(
    program: Program,
    inputs: EvaluationInputs,
    prepared: PyTree,
    classes: jax.Array | None,
    num_batches: int,
    bucket: Bucket,
    lane_axis: str | None,
    slot: Slot,
) -> tuple[PyTree, ClientMetrics]:
    """Evaluates one entry; nothing is summed over clients."""
    asked = jax.tree.map(lambda x: jnp.asarray(x)[slot.entry], inputs.asked)
    subnet = extract(program, inputs.state, inputs.train, prepared, slot, bucket)
    task = EvaluationTask(
        batches=tuple(
            _batches_of(program, data, slot.local, num_batches, asked.splits[number])
            for number, data in enumerate(inputs.splits)
        ),
        moments=_moments_of(program, subnet, slot, inputs.calibrated),
        present=None if classes is None else classes[slot.local] | ~asked.hides,
        chunk=program.rule.chunk,
        lane_axis=lane_axis,
    )
    return (), evaluate_client(subnet, inputs.splits, task)


def _batches_of(
    program: Program, data: ClientData, client: jax.Array, num_batches: int, asked: jax.Array
) -> batching.Batches:
    """Returns a client's batches of a split; none if it is not asked."""
    batch_size = program.training.batch_size
    batches = batching.sequential_batches(data, client, num_batches, batch_size)
    return batches._replace(used=jnp.where(asked, batches.used, 0))


def _calibrate_device(program: Program, state: ServerState, calibration: Calibration) -> Calibrated:
    """Calibrates the subnets of one device `[1, V, L]`; every device gets the moments of all."""
    cohort, train = calibration
    batches = batching.mixed_batches(state.key, train)
    prepared = prepare(program, state)
    client_fn = functools.partial(_calibrate_slot, program, state, train, batches, prepared)
    moments = run_cohort(client_fn, cohort)[1]
    return Calibrated(*gather_clients((cohort.slots, moments), cohort.layout))


def _calibrate_slot(
    program: Program,
    state: ServerState,
    train: ClientData,
    batches: batching.Batches,
    prepared: PyTree,
    bucket: Bucket,
    lane_axis: str | None,
    slot: Slot,
) -> tuple[PyTree, PyTree]:
    """Calibrates one client's subnet; zeros fill its moments up to those of the supernet."""
    del lane_axis
    subnet = extract(program, state, train, prepared, slot, bucket)
    return (), resize_moments(calibrate(subnet, train, batches), program.model.moments)


def _moments_of(
    program: Program, subnet: Subnet, slot: Slot, calibrated: Calibrated | None
) -> PyTree | None:
    """Finds the moments of an entry's subnet."""
    if calibrated is None:
        return None
    slots = calibrated.slots
    alike = slots.entry == slot.entry
    if program.extraction.by_size:
        same = [slots.kept[name] == kept for name, kept in subnet.kept.items()]
        alike = jnp.stack([slots.exits == subnet.exits, *same]).all(axis=0)
    # Empty slots hold no moments.
    position = jnp.argmax(alike & (slots.client >= 0))
    found = jax.tree.map(lambda x: x[position], calibrated.moments)
    model = program.model
    example = jax.ShapeDtypeStruct((1, *model.input_shape), model.input_dtype)
    own = jax.eval_shape(lambda x: forward(subnet, subnet.params, x)[1], example)
    return resize_moments(found, own)


def resize_moments(moments: PyTree, shapes: PyTree) -> PyTree:
    """Cuts the axes of moments off at their ends, or fills them up with zeros."""

    def resize(leaf: jax.Array, shape: jax.ShapeDtypeStruct) -> jax.Array:
        cut = leaf[tuple(slice(size) for size in shape.shape)]
        missing = [(0, size - had) for size, had in zip(shape.shape, cut.shape, strict=True)]
        return jnp.pad(cut, missing)

    return jax.tree.map(resize, moments, shapes)
