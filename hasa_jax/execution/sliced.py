"""Sliced execution: truly narrow parameters, clients of equal size together.

Compute follows the budget. The sizes that occur in a run decide what is compiled, once.
"""

from __future__ import annotations

import functools

import jax.numpy as jnp

from hasa_jax.base import Cohort, Kind, PyTree, UserError
from hasa_jax.execution.interface import BroadcastFn, ClientFn, Execution
from hasa_jax.execution.layout import place
from hasa_jax.execution.loop import run_turns
from hasa_jax.execution.subnets import sliced_subnet
from hasa_jax.supernet.types import Extraction, Model, Subnet


def sliced(
    model: Model, extraction: Extraction, client_block: int | None = None, devices: int = 1
) -> Execution:
    """Builds sliced execution.

    Args:
      model: the supernet.
      extraction: ranks the units of every group; a client keeps the lowest.
      client_block: clients in one `vmap`; None to share a cohort out over the sizes.
      devices: how many share a cohort.

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
        def subnet(slot: Cohort, kind: Kind) -> Subnet:
            return sliced_subnet(model, extraction, broadcast(jnp.asarray(slot.index)), slot, kind)

        return run_turns(client_fn, subnet, cohort)

    return Execution(functools.partial(place, model, extraction, client_block, devices, False), run)
