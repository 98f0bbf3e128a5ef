"""Power of choice: of a round's candidates, those with the highest loss train."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import PyTree
from hasa_jax.client import batches as batching
from hasa_jax.client.evaluation import EvaluationTask, evaluate_client
from hasa_jax.execution.layout import Bucket, Cohort, Slot
from hasa_jax.execution.loop import run_cohort
from hasa_jax.execution.sharding import gather_clients
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round_inputs import RoundInputs, extract


def chosen_by_loss(program: Program, inputs: RoundInputs, cohort: Cohort) -> Cohort:
    """Leaves only the candidates with the highest loss in a round.

    Every candidate evaluates its own subnet, as it is sent, on its training examples. The
    `clients_per_round` with the highest mean loss over targets train; of equal losses the client
    with the lower id goes first. A loss that is not a number counts as the highest.

    Args:
      program: what is run.
      inputs: what all clients of the round share.
      cohort: the candidates of this device `[1, V, L]`.

    Returns:
      The cohort, in which all other candidates have no steps and weight 0.

    References:
      Cho, Wang and Joshi, arXiv 2010.01243, where every client has the same model.
    """
    own = run_cohort(functools.partial(_loss_of, program, inputs), cohort)[1]
    slots = jax.tree.map(jnp.asarray, cohort.slots)
    loss = jnp.where(slots.client >= 0, jnp.where(jnp.isnan(own), jnp.inf, own), -jnp.inf)
    losses, clients = gather_clients((loss, slots.client), cohort.layout)
    # Empty lanes have the lowest loss, and are never chosen.
    order = jnp.lexsort((clients, -losses))
    last = order[min(program.training.clients_per_round, order.size) - 1]
    tied = (loss == losses[last]) & (slots.client <= clients[last])
    chosen = ((loss > losses[last]) | tied) & (slots.client >= 0)
    slots = dataclasses.replace(
        slots,
        weight=jnp.where(chosen, slots.weight, 0.0),
        steps=jnp.where(chosen, slots.steps, 0),
    )
    return dataclasses.replace(cohort, slots=slots)


def _loss_of(
    program: Program, inputs: RoundInputs, bucket: Bucket, lane_axis: str | None, slot: Slot
) -> tuple[PyTree, jax.Array]:
    """Returns a candidate's mean loss over the targets of its training examples."""
    subnet = extract(program, inputs.state, inputs.data, inputs.prepared, slot, bucket)
    batches = batching.sequential_batches(
        inputs.data, slot.local, inputs.num_batches, program.training.batch_size
    )
    task = EvaluationTask(
        batches=(batches,),
        moments=None,
        present=None if inputs.classes is None else inputs.classes[slot.local],
        chunk=program.rule.chunk,
        lane_axis=lane_axis,
    )
    sums = evaluate_client(subnet, (inputs.data,), task)
    return (), (sums.loss / jnp.maximum(sums.loss_count, 1))[0]
