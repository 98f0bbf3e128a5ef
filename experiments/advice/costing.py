"""What each size of a supernet costs a device: parameters, MACs, bytes and memory."""

from __future__ import annotations

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import FederatedDataset, Params, ServerState
from hasa_jax.simulation.cohorts import layout_of
from hasa_jax.simulation.program import PASSES, Program
from hasa_jax.simulation.traced import TracedStep, bytes_of, trace_step
from hasa_jax.supernet import costs


@dataclasses.dataclass(frozen=True)
class SizeCosts:
    """What sizes 0..H cost; entry 0 is 0 in all of them.

    Attributes:
      width: fraction of units `[H + 1]`.
      params: parameters that a client holds.
      macs: MACs of one example's forward passes in a local step; nominal for single parameters.
      executed: MACs that dense kernels execute for it.
      bytes_down: bytes that a client receives in a round.
      bytes_up: bytes that it sends.
      memory: bytes that training takes on the device, its examples left out.
    """

    width: np.ndarray
    params: np.ndarray
    macs: np.ndarray
    executed: np.ndarray
    bytes_down: np.ndarray
    bytes_up: np.ndarray
    memory: np.ndarray

    def seconds(
        self, sizes: np.ndarray, examples: np.ndarray, epochs: int, rate: np.ndarray
    ) -> np.ndarray:
        """Computes `epochs n_i 3 macs(k_i) / rate_i`, the seconds that clients train in a round.

        Args:
          sizes: of the clients `[N]`; 0 for one that takes no part.
          examples: of the clients `[N]`.
          epochs: passes over them.
          rate: MACs that each device computes in a second `[N]`.

        Returns:
          Seconds `[N]`.
        """
        return epochs * examples * PASSES * self.executed[sizes] / rate


def size_costs(program: Program, dataset: FederatedDataset) -> SizeCosts:
    """Computes what every size costs, from shapes.

    Args:
      program: supplies the supernet, the extraction, the optimizer and the batch.
      dataset: shapes of examples.

    Returns:
      The costs.
    """
    model, extraction = program.model, program.extraction
    table = functools.partial(costs.cost_table, model, extraction)
    supernet = costs.parameter_count(model, model.groups)
    uncut = costs.uncut_share(model, extraction)
    params = np.rint(supernet * ((1 - uncut) * table("params") + uncut))
    params[0] = 0
    full = costs.mac_count(model, model.groups)
    down = costs.BYTES_OF_A_PARAMETER * (params if not extraction.by_data else supernet)
    largest = max(model.groups.values())
    # Where its own data decide, a client says by a bit each what it kept.
    extra = costs.bytes_up(model, extraction, extraction.shape(model, largest))
    extra -= costs.BYTES_OF_A_PARAMETER * params[-1]
    sent = np.arange(largest + 1) > 0
    return SizeCosts(
        width=table("width"),
        params=params,
        macs=table("macs") * full,
        executed=table("executed") * full,
        bytes_down=down * sent,
        bytes_up=(costs.BYTES_OF_A_PARAMETER * params + extra) * sent,
        memory=memory_of_sizes(program, dataset, params) * sent,
    )


def memory_of_sizes(program: Program, dataset: FederatedDataset, params: np.ndarray) -> np.ndarray:
    """Predicts the bytes that a local step takes on a device.

    They are what the client was sent, what it trains, gradients and the optimizer's state, and
    what the backward pass keeps. The latter is traced for the supernet, which needs no masks, and
    at a quarter and three quarters of its size. Between these it grows by a straight line, as
    values of a batch have one axis that is cut.

    Args:
      program: supplies the supernet, the extraction, the optimizer and the batch.
      dataset: shapes of examples.
      params: parameters of sizes 0..H.

    Returns:
      Bytes of sizes 0..H.
    """
    largest = len(params) - 1
    state = _state_shapes(program)
    supernet = _traced(program, dataset, state, largest)
    held = bytes_of(supernet.params)
    optimizer = bytes_of(jax.eval_shape(program.rule.optimizer.init, supernet.params))
    kept = np.full(largest + 1, float(supernet.activations))
    if program.extraction.order is None:
        # Dense kernels compute single parameters at full size.
        return 3 * held + optimizer + kept
    few, many = max(1, largest // 4), max(1, 3 * largest // 4)
    if few < many < largest:
        ends = [float(_traced(program, dataset, state, size).activations) for size in (few, many)]
        line = ends[0] + (ends[1] - ends[0]) / (many - few) * (np.arange(largest) - few)
        kept[:largest] = np.maximum(line, 0.0)
    return (3 * held + optimizer) * params / params[-1] + kept


def _state_shapes(program: Program) -> ServerState:
    """Returns the shapes of the server's state; nothing is initialised for them."""

    def state(params: Params) -> ServerState:
        optimizer = program.server_optimizer.init(params)
        return ServerState(params, optimizer, jnp.int32(0), jax.random.key(0))

    return jax.eval_shape(state, program.model.shapes)


def _traced(
    program: Program, dataset: FederatedDataset, state: ServerState, size: int
) -> TracedStep:
    """Traces a local step of a client of some size."""
    layout = layout_of(
        program,
        sizes_in_run=np.array([size]),
        num_clients=1,
        most_examples=int(dataset.train.num_examples.max()),
        trials=1,
    )
    return trace_step(program, layout, state, dataset.train)
