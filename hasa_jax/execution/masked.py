"""Masked execution: every subnet at full width with zeros outside it, in one `vmap`.

The reference: any width, any extraction method, one program whatever the widths are. A
narrow client costs what a wide one costs.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax import keys, units
from hasa_jax.base import ClientFn, Cohort, Execution, Model, OrderFn, Params, PyTree, Subnet
from hasa_jax.execution.placement import one_block


def masked(model: Model, order: OrderFn) -> Execution:
    """Builds masked execution.

    Args:
      model: the supernet.
      order: ranks the units of every group; a client keeps the lowest.

    Returns:
      The execution.
    """

    def run(
        client_fn: ClientFn, params: Params, cohort: Cohort, round: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        num_batches = max(block.num_batches for block in cohort.blocks)

        def one_client(client, width, sizes, weight):
            client_key = keys.address(key, keys.Stream.ORDER, round, client)
            ranks = order(params, model.groups, round, client_key)
            masks = units.masks(model.shapes, model.axes, ranks, sizes)
            hide = functools.partial(jax.tree.map, jnp.multiply, masks)
            subnet = Subnet(
                params=params,
                apply=lambda p, x, *, train: model.apply(hide(p), x, width=width, train=train),
                insert=hide,
                masks=masks,
            )
            return client_fn(subnet, client, weight, num_batches)

        sums, outputs = jax.vmap(one_client)(
            cohort.index, cohort.widths, cohort.sizes, cohort.weights
        )
        return jax.tree.map(lambda x: jnp.sum(x, axis=0), sums), outputs

    return Execution(functools.partial(one_block, model), run)
