"""Sliced execution: truly narrow parameters, clients of equal width together.

Compute follows the budget. Widths decide shapes, so a cohort of other widths or block sizes
is another compiled program; all blocks of a cohort are one program.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import Block, Cohort, PyTree, UserError
from hasa_jax.execution.interface import BroadcastFn, ClientFn, Execution
from hasa_jax.execution.mapping import sum_over_clients
from hasa_jax.execution.placement import by_shape
from hasa_jax.execution.subnets import sliced_subnet
from hasa_jax.supernet import Extraction, Model


def sliced(model: Model, extraction: Extraction, clients_at_once: int | None = None) -> Execution:
    """Builds sliced execution.

    Args:
      model: the supernet.
      extraction: ranks the units of every group; a client keeps the lowest.
      clients_at_once: clients in one `vmap`; None for all of a block.

    Returns:
      The execution.

    Raises:
      UserError: if the extraction keeps single parameters, which leave nothing to slice.
    """
    if extraction.order is None:
        raise UserError(
            "sliced execution cuts whole units, but this extraction keeps single parameters: "
            "use masked execution (--execution=auto does where it must), or an extraction that "
            "ranks units"
        )

    def run(client_fn: ClientFn, broadcast: BroadcastFn, cohort: Cohort) -> tuple[PyTree, PyTree]:
        def run_block(block: Block, clients: tuple[jax.Array, jax.Array]):
            def one_client(slot: tuple[jax.Array, jax.Array]) -> tuple[PyTree, PyTree]:
                client, weight = slot
                subnet = sliced_subnet(model, extraction, broadcast(client), block.shape)
                return client_fn(subnet, client, weight, block.num_batches)

            return sum_over_clients(one_client, clients, clients_at_once)

        slots = (jnp.asarray(cohort.index), jnp.asarray(cohort.weights))
        results, start = [], 0
        for block in cohort.blocks:
            stop = start + block.size
            results.append(run_block(block, (slots[0][start:stop], slots[1][start:stop])))
            start = stop
        sums, outputs = zip(*results, strict=True)
        return (
            jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *sums),
            jax.tree.map(lambda *parts: jnp.concatenate(parts), *outputs),
        )

    return Execution(functools.partial(by_shape, model, extraction), run)
