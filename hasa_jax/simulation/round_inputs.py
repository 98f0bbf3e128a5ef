"""What all clients of a round share, and the subnet that each of them gets."""

from __future__ import annotations

from typing import NamedTuple

import jax

from hasa_jax.base import ClientData, PyTree, ServerState
from hasa_jax.execution.broadcast import broadcast_to
from hasa_jax.execution.layout import Bucket, Slot
from hasa_jax.execution.subnets import masked_subnet, sliced_subnet
from hasa_jax.server.aggregation import all_finite
from hasa_jax.simulation.program import Program
from hasa_jax.supernet import label_rows
from hasa_jax.supernet.subnet import Subnet


class RoundInputs(NamedTuple):
    """What all clients of a round share.

    Attributes:
      state: the server's state.
      data: training examples of the clients of this device.
      prepared: what the extraction prepares once for all clients, or None.
      classes: which classes occur at each of them `[M, K]`, bool; None if no objective needs it.
      label_rows: which label rows each client owns, `{axis: [M, label rows]}`; None without label
        split.
      finite: whether the supernet is finite before the round, a bool scalar.
      num_batches: batches of one pass of the largest client.
    """

    state: ServerState
    data: ClientData
    prepared: PyTree
    classes: jax.Array | None
    label_rows: dict[str, jax.Array] | None
    finite: jax.Array
    num_batches: int


def round_inputs(
    program: Program, state: ServerState, data: ClientData, num_batches: int
) -> RoundInputs:
    """Returns what all clients of a round share.

    Args:
      program: what is run.
      state: the server's state.
      data: training examples of the clients of this device.
      num_batches: batches of one pass of the largest client.

    Returns:
      The inputs.
    """
    method, model = program.method, program.model
    return RoundInputs(
        state=state,
        data=data,
        prepared=prepare(program, state),
        classes=label_rows.present_classes(data) if method.objective.own_classes else None,
        label_rows=label_rows.present_label_rows(data, model) if method.label_split else None,
        finite=all_finite(state.params),
        num_batches=num_batches,
    )


def prepare(program: Program, state: ServerState) -> PyTree:
    """Computes what the extraction needs once for all clients; None if it needs nothing."""
    extraction = program.extraction
    return extraction.prepare and extraction.prepare(state.params, program.model)


def extract(
    program: Program,
    state: ServerState,
    data: ClientData,
    prepared: PyTree,
    slot: Slot,
    bucket: Bucket,
) -> Subnet:
    """Extracts a client's subnet.

    Args:
      program: supplies the extraction and how it runs.
      state: the server's state.
      data: training examples of the clients of this device.
      prepared: from `prepare`.
      slot: the client's slot.
      bucket: the size that is compiled.

    Returns:
      The subnet, masked or truly narrow.
    """
    model, extraction = program.model, program.extraction
    sent = broadcast_to(slot.client, slot.local, model, state, data, program.training.batch_size)
    if program.execution.mode == "masked":
        return masked_subnet(model, extraction, sent, slot, prepared)
    return sliced_subnet(model, extraction, sent, slot, bucket)
