"""A client's trained subnet outside the simulator: a narrow module and its parameters."""

from __future__ import annotations

import dataclasses
import functools
from typing import Any

import flax.traverse_util
import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import ClientData, Params, PyTree, ServerState
from hasa_jax.client.batches import mixed_batches
from hasa_jax.client.calibration import calibrate
from hasa_jax.datasets.mapped import Mapped
from hasa_jax.execution.broadcast import broadcast_to
from hasa_jax.execution.layout import Bucket, Slot
from hasa_jax.execution.subnets import masked_subnet, sliced_subnet
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.round_inputs import prepare
from hasa_jax.supernet.subnet import Subnet
from hasa_jax.supernet.types import Shape


def deploy(
    program: Program, state: ServerState, train: ClientData, client: int, size: int
) -> tuple[Any, Params]:
    """Takes a client's subnet out of the supernet.

    Args:
      program: supplies the supernet and the extraction.
      state: the server's state; the subnet is that of its current round.
      train: training examples of all clients, for extractions that look at data.
      client: client id.
      size: the client's size.

    Returns:
      A module with as many units as the client keeps, and its parameters; an nnx module already
      has them. A subnet of single parameters has the supernet's module, and zeros where it keeps
      nothing.
    """
    model = program.model
    shape = program.extraction.shape(model, size)
    params = _params(program, shape, jnp.int32(client), state, _in_memory(train))
    if program.extraction.mask is not None:
        return model.module(model.groups, model.num_exits, 1.0, params), params
    depths: dict[Any, Any] = flax.traverse_util.flatten_dict(model.depths)
    flat = flax.traverse_util.flatten_dict(params)
    used = {path: leaf for path, leaf in flat.items() if depths[path] <= shape.exits}
    params = flax.traverse_util.unflatten_dict(used)
    return model.module(dict(shape.kept), shape.exits, shape.width, params), params


def deployed_moments(
    program: Program, state: ServerState, train: ClientData, client: int, size: int
) -> PyTree:
    """Calibrates the static norms of a client's subnet.

    Args:
      program: supplies the supernet and the extraction.
      state: the server's state.
      train: training examples of all clients.
      client: client id.
      size: the client's size.

    Returns:
      The collection `moments` of the deployed module; empty without static norms.
    """
    if not program.model.moments:
        return {}
    shape = program.extraction.shape(program.model, size)
    return _moments(program, shape, jnp.int32(client), state, _in_memory(train))


def _in_memory(train: ClientData) -> ClientData:
    """Reads inputs that stay in their file."""
    if isinstance(train.inputs, Mapped):
        return dataclasses.replace(train, inputs=np.asarray(train.inputs))
    return train


@functools.partial(jax.jit, static_argnames=("program", "shape"))
def _params(
    program: Program, shape: Shape, client: jax.Array, state: ServerState, train: ClientData
) -> Params:
    """Returns the parameters that the forward pass of a client's subnet uses."""
    subnet = _subnet(program, shape, client, state, train)
    return subnet.params if subnet.view is None else subnet.view(subnet.params)


@functools.partial(jax.jit, static_argnames=("program", "shape"))
def _moments(
    program: Program, shape: Shape, client: jax.Array, state: ServerState, train: ClientData
) -> PyTree:
    """Returns the moments of a client's subnet over mixed batches."""
    subnet = _subnet(program, shape, client, state, train)
    return calibrate(subnet, train, mixed_batches(state.key, train))


def _subnet(
    program: Program, shape: Shape, client: jax.Array, state: ServerState, train: ClientData
) -> Subnet:
    """Extracts a client's subnet, truly narrow where the extraction ranks units."""
    model, extraction = program.model, program.extraction
    slot = Slot(
        entry=jnp.int32(0),
        client=client,
        local=client,
        width=jnp.float32(shape.width),
        kept={group: np.int32(kept) for group, kept in shape.kept},
        exits=jnp.int32(shape.exits),
        weight=jnp.float32(1.0),
        steps=jnp.int32(0),
        hostile=jnp.bool_(False),
    )
    batch_size = program.training.batch_size
    sent = broadcast_to(client, client, model, state, train, batch_size)
    if extraction.mask is not None:
        return masked_subnet(model, extraction, sent, slot, prepare(program, state))
    return sliced_subnet(model, extraction, sent, slot, Bucket(shape, exact=True))
