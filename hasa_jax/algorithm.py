"""One communication round as a pure function."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from hasa_jax import aggregation as aggregating
from hasa_jax import client as local
from hasa_jax import keys
from hasa_jax.base import (
    ClientData,
    ClientMetrics,
    Cohort,
    Execution,
    FederatedAlgorithm,
    Model,
    OrderFn,
    ServerState,
    Subnet,
)
from hasa_jax.execution import sliced
from hasa_jax.extraction import prefix


def partial_training(
    model: Model,
    *,
    execution: Callable[[Model, OrderFn], Execution] = sliced,
    order: OrderFn | None = None,
    client_optimizer: optax.GradientTransformation | None = None,
    server_optimizer: optax.GradientTransformation | None = None,
    aggregation: str = "coverage",
    local_epochs: int = 1,
    batch_size: int = 32,
) -> FederatedAlgorithm:
    """Federated averaging in which every client trains a subnet of one supernet.

    Each round: extract every client's subnet, train it locally, sum the masked updates, take
    one server step. With all widths 1 and weights `n_i` this is FedAvg.

    Args:
      model: the supernet.
      execution: `masked` or `sliced` (see `hasa_jax.execution`).
      order: ranks the units of every group; `prefix()` if None.
      client_optimizer: local optimizer, fresh each round; `optax.sgd(0.1)` if None.
      server_optimizer: takes the mean update; `optax.sgd(1.0)`, plain averaging, if None.
      aggregation: `coverage` or `full`.
      local_epochs: passes over the client's data in a round.
      batch_size: examples in a local batch.

    Returns:
      The algorithm; build it once and share it between seeds, so that they share programs.

    References:
      FedAvg, arXiv 1602.05629; HeteroFL, arXiv 2010.01264; HASA, arXiv 2606.07621.
    """
    client_optimizer = client_optimizer or optax.sgd(0.1)
    server_optimizer = server_optimizer or optax.sgd(1.0)
    runner = execution(model, order or prefix())

    def init(key: jax.Array) -> ServerState:
        params = model.init(keys.address(key, keys.Stream.INIT))
        return ServerState(
            params=params,
            opt_state=server_optimizer.init(params),
            round=jnp.int32(0),
            key=key,
        )

    def round_fn(
        state: ServerState, data: ClientData, cohort: Cohort
    ) -> tuple[ServerState, ClientMetrics]:
        def train_client(subnet: Subnet, client: jax.Array, weight: jax.Array, num_batches: int):
            key = local.batch_key(state.key, state.round, client)
            plan = local.shuffled_batches(
                key, data, client, num_batches, batch_size, num_epochs=local_epochs
            )
            update, metrics = local.local_training(subnet, data, plan, client_optimizer)
            return aggregating.partial_sum(subnet, update, weight), metrics

        partial, metrics = runner.run(train_client, state.params, cohort, state.round, state.key)
        params, opt_state = aggregating.server_update(
            state.params, state.opt_state, partial, server_optimizer, aggregation
        )
        return ServerState(params, opt_state, state.round + 1, state.key), metrics

    return FederatedAlgorithm(init, round_fn, runner, model, batch_size)
