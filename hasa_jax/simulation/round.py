"""One communication round, as one straight line.

statistics -> sizes -> subnets -> training -> sums -> new state. Every step is a function of its
own, with explicit inputs.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax import keys
from hasa_jax.base import ClientData, ClientReport, PyTree, ServerState
from hasa_jax.client import batches as batching
from hasa_jax.client.augmentation import augmented_at
from hasa_jax.client.training import LocalTask, local_training
from hasa_jax.execution.layout import Bucket, Cohort, Slot
from hasa_jax.execution.loop import run_cohort
from hasa_jax.execution.sharding import (
    EACH,
    SPREAD_ROUNDS,
    data_spec,
    gather_clients,
    over_mesh,
    own_part,
)
from hasa_jax.server.aggregation import all_finite, partial_sum
from hasa_jax.server.faults import as_sent
from hasa_jax.server.robust import robust_sum
from hasa_jax.server.update import server_update
from hasa_jax.simulation.choice import chosen_by_loss
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round_inputs import RoundInputs, extract, round_inputs
from hasa_jax.simulation.sampling import POWER_OF_CHOICE
from hasa_jax.supernet import label_rows
from hasa_jax.supernet.initial import initial_params
from hasa_jax.supernet.subnet import insert


def init_state(program: Program, key: jax.Array) -> ServerState:
    """Returns the server's state before round 0.

    Args:
      program: supplies the supernet and the server's optimizer.
      key: root key of the run; it is not consumed.

    Returns:
      The state.
    """
    params = initial_params(program.model, key)
    return ServerState(params, program.server_optimizer.init(params), jnp.int32(0), key)


@functools.partial(jax.jit, static_argnames="program")
def scan_rounds(
    program: Program, state: ServerState, data: ClientData, cohorts: Cohort
) -> tuple[ServerState, ClientReport]:
    """Runs rounds in one `lax.scan`, without going back to the host.

    Args:
      program: what is run (static).
      state: the server's state before the first of the rounds.
      data: training examples of all clients; or of the clients of each device `[P, ...]`.
      cohorts: the clients of each round, stacked: leaves `[R, ...]`.

    Returns:
      The state afterwards, and what the clients report `[R, P, V, L]`.
    """
    stacked = jax.tree.map(lambda x: jnp.asarray(x)[None], (state, data, cohorts))
    return jax.tree.map(lambda x: x[0], scan_trials(program, *stacked))


def scan_trials(
    program: Program, states: ServerState, data: ClientData, cohorts: Cohort
) -> tuple[ServerState, ClientReport]:
    """Runs rounds of several trials.

    Args:
      program: what is run (static).
      states: the server's state in each trial `[E]`.
      data: training examples `[E, ...]`; see `sharding.own_part`.
      cohorts: the clients of each round `[E, R, ...]`.

    Returns:
      The states afterwards, and what the clients report `[E, R, P, V, L]`.
    """
    return over_mesh(
        functools.partial(_scan, program),
        cohorts.layout.mesh,
        (EACH, data_spec(data), SPREAD_ROUNDS),
        (EACH, SPREAD_ROUNDS),
        states,
        data,
        cohorts,
    )


def _scan(
    program: Program, state: ServerState, data: ClientData, cohorts: Cohort
) -> tuple[ServerState, ClientReport]:
    """Runs the rounds of one device."""
    return jax.lax.scan(functools.partial(train_round, program, own_part(data)), state, cohorts)


def train_round(
    program: Program, data: ClientData, state: ServerState, cohort: Cohort
) -> tuple[ServerState, ClientReport]:
    """Runs one round: what one device does.

    Args:
      program: what is run.
      data: training examples of the clients of this device.
      state: the server's state.
      cohort: the clients of this device `[1, V, L]`.

    Returns:
      The state afterwards, and what the clients report `[1, V, L]`.
    """
    method = program.method
    inputs = round_inputs(program, state, data, cohort.layout.num_batches)
    if program.training.sampling == POWER_OF_CHOICE:
        cohort = chosen_by_loss(program, inputs, cohort)
    client_fn = functools.partial(train_client, program, inputs)
    (mass, sums), (report, updates) = run_cohort(client_fn, cohort)
    report = report.replace(share=report.share / jnp.where(mass > 0, mass, 1.0))
    if method.robust != "none":
        sums = robust_sum(
            *gather_clients(updates, cohort.layout),
            robust=method.robust,
            aggregation=method.aggregation,
            trim=method.trim,
        )
    params, opt_state = server_update(
        state.params, state.opt_state, sums, program.server_optimizer, method.aggregation
    )
    return ServerState(params, opt_state, state.round + 1, state.key), report


def local_task(
    program: Program, inputs: RoundInputs, lane_axis: str | None, slot: Slot
) -> LocalTask:
    """Returns a client's batches, keys and learning rate of a round."""
    state, training = inputs.state, program.training
    batches = batching.shuffled_batches(
        batching.batch_key(state.key, state.round, slot.client),
        inputs.data,
        slot.local,
        inputs.num_batches,
        training.batch_size,
        training.local_epochs,
    )
    augmented = units = None
    if training.augment is not None:
        offsets = jnp.asarray(inputs.data.offsets)
        first = offsets[slot.local]
        per_pass = -(-(offsets[slot.local + 1] - first) // training.batch_size)
        augmented = augmented_at(state.key, state.round, slot.client, first, per_pass)
    if program.model.draws:
        units = keys.address(state.key, keys.Stream.UNITS, state.round, slot.client)
    return LocalTask(
        batches=batching.first_batches(batches, slot.steps),
        key=keys.address(state.key, keys.Stream.STEPS, state.round, slot.client),
        round=state.round,
        present=None if inputs.classes is None else inputs.classes[slot.local],
        scale=program.schedule(state.round),
        lane_axis=lane_axis,
        augmented=augmented,
        units=units,
    )


def train_client(
    program: Program, inputs: RoundInputs, bucket: Bucket, lane_axis: str | None, slot: Slot
) -> tuple[PyTree, PyTree]:
    """Trains one client, and sums what the server gets of it.

    Args:
      program: what is run.
      inputs: what all clients share.
      bucket: the size that is compiled.
      lane_axis: name of the axis of clients that run in one `vmap`, or None.
      slot: the client's slot.

    Returns:
      `((weight, partial sum), (report, update))`: what is summed over clients, and what is
      stacked. A robust mean needs the updates instead of the partial sum; the other is empty.
    """
    state, data, method = inputs.state, inputs.data, program.method
    subnet = extract(program, state, data, inputs.prepared, slot, bucket)
    task = local_task(program, inputs, lane_axis, slot)
    update, metrics = local_training(subnet, data, task, program.rule)
    masks = subnet.masks
    if inputs.label_rows is not None:
        own = {name: table[slot.local] for name, table in inputs.label_rows.items()}
        own_masks = label_rows.label_row_masks(program.model, own)
        masks = jax.tree.map(jnp.multiply, masks, own_masks)
    faults, robust = program.training.faults, method.robust != "none"
    update, weight = as_sent(faults, state, slot.client, slot.hostile, update, slot.weight)
    finite = all_finite(update)
    if program.training.drop_nonfinite or robust:
        weight = jnp.where(finite, weight, 0.0)
    # No client is responsible for a supernet that was not finite when it was sent.
    report = ClientReport(metrics, finite | ~inputs.finite, weight, weight)
    inserted = insert(subnet, update)
    if robust:
        return (weight, ()), (report, (inserted, masks, weight))
    return (weight, partial_sum(inserted, masks, weight, method.aggregation)), (report, ())
