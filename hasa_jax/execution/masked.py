"""Masked execution: every subnet at full width with zeros outside it.

The reference: any width, any extraction method, one program whatever the widths are. A
narrow client costs what a wide one costs.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import Cohort, PyTree
from hasa_jax.execution.interface import BroadcastFn, ClientFn, Execution
from hasa_jax.execution.mapping import sum_over_clients
from hasa_jax.execution.placement import one_block
from hasa_jax.execution.subnets import masked_subnet
from hasa_jax.supernet import Extraction, Model


def masked(model: Model, extraction: Extraction, clients_at_once: int | None = None) -> Execution:
    """Builds masked execution.

    Args:
      model: the supernet.
      extraction: which part of it a client holds.
      clients_at_once: clients in one `vmap`; None for all of a cohort.

    Returns:
      The execution.
    """

    def run(client_fn: ClientFn, broadcast: BroadcastFn, cohort: Cohort) -> tuple[PyTree, PyTree]:
        num_batches = max(block.num_batches for block in cohort.blocks)
        prepared = None
        if extraction.prepare is not None:
            # What is the same for all clients is computed once, outside the map over them.
            prepared = extraction.prepare(broadcast(jnp.int32(0)).params, model)

        def one_client(slot: Cohort) -> tuple[PyTree, PyTree]:
            subnet = masked_subnet(
                model,
                extraction,
                broadcast(jnp.asarray(slot.index)),
                slot.sizes,
                width=jnp.asarray(slot.widths),
                exits=jnp.asarray(slot.exits),
                prepared=prepared,
            )
            return client_fn(
                subnet, jnp.asarray(slot.index), jnp.asarray(slot.weights), num_batches
            )

        return sum_over_clients(one_client, jax.tree.map(jnp.asarray, cohort), clients_at_once)

    return Execution(functools.partial(one_block, model, extraction), run)
