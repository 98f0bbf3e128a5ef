"""Masked execution: every subnet at full width with zeros outside it.

The reference: any width, any extraction method, one compiled body whatever the widths are. A
narrow client costs what a wide one costs.
"""

from __future__ import annotations

import dataclasses
import functools

import jax.numpy as jnp

from hasa_jax.base import Cohort, Kind, PyTree
from hasa_jax.execution.interface import BroadcastFn, ClientFn, Execution
from hasa_jax.execution.layout import place
from hasa_jax.execution.loop import run_turns
from hasa_jax.execution.subnets import masked_subnet
from hasa_jax.supernet.types import Extraction, Model, Subnet


def masked(
    model: Model, extraction: Extraction, client_block: int | None = None, devices: int = 1
) -> Execution:
    """Builds masked execution.

    Args:
      model: the supernet.
      extraction: which part of it a client holds.
      client_block: clients in one `vmap`; None for all of a cohort.
      devices: how many share a cohort.

    Returns:
      The execution.
    """

    def run(client_fn: ClientFn, broadcast: BroadcastFn, cohort: Cohort) -> tuple[PyTree, PyTree]:
        prepared = None
        if extraction.prepare is not None:
            # What is the same for all clients is computed once, outside the map over them.
            prepared = extraction.prepare(broadcast(jnp.int32(0)).params, model)

        def subnet(slot: Cohort, kind: Kind) -> Subnet:
            del kind
            sent = broadcast(jnp.asarray(slot.index))
            return masked_subnet(model, extraction, sent, slot, prepared)

        # One body serves all kinds.
        kind = jnp.zeros_like(jnp.asarray(cohort.kind))
        alike = dataclasses.replace(cohort, kind=kind, kinds=cohort.kinds[:1])
        return run_turns(client_fn, subnet, alike)

    return Execution(functools.partial(place, model, extraction, client_block, devices, True), run)
