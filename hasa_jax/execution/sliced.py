"""Sliced execution: truly narrow parameters, one `vmap` for each block of equal width.

Compute follows the budget. Widths decide shapes, so a cohort of other widths or block sizes
is another compiled program; all blocks of a cohort are one program.
"""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax import keys, units
from hasa_jax.base import (
    Block,
    ClientFn,
    Cohort,
    Execution,
    Model,
    OrderFn,
    Params,
    PyTree,
    Subnet,
)
from hasa_jax.execution.placement import by_width


def sliced(model: Model, order: OrderFn) -> Execution:
    """Builds sliced execution.

    Args:
      model: the supernet.
      order: ranks the units of every group; a client keeps the lowest.

    Returns:
      The execution.
    """

    def run(
        client_fn: ClientFn, params: Params, cohort: Cohort, round: jax.Array, key: jax.Array
    ) -> tuple[PyTree, PyTree]:
        def run_block(block: Block, index: jax.Array, weights: jax.Array):
            sizes = dict(block.sizes)
            apply = model.narrow(sizes)

            def one_client(client, weight):
                client_key = keys.address(key, keys.Stream.ORDER, round, client)
                ranks = order(params, model.groups, round, client_key)
                subnet = Subnet(
                    params=units.gather(params, model.axes, ranks, sizes),
                    apply=lambda p, x, *, train: apply(p, x, width=block.width, train=train),
                    insert=lambda update: units.scatter(update, model.axes, ranks),
                    masks=units.masks(model.shapes, model.axes, ranks, sizes),
                )
                return client_fn(subnet, client, weight, block.num_batches)

            sums, outputs = jax.vmap(one_client)(index, weights)
            return jax.tree.map(lambda x: jnp.sum(x, axis=0), sums), outputs

        index, weights = jnp.asarray(cohort.index), jnp.asarray(cohort.weights)
        results, start = [], 0
        for block in cohort.blocks:
            slots = slice(start, start + block.size)
            results.append(run_block(block, index[slots], weights[slots]))
            start += block.size
        sums, outputs = zip(*results, strict=True)
        return (
            jax.tree.map(lambda *parts: sum(parts[1:], parts[0]), *sums),
            jax.tree.map(lambda *parts: jnp.concatenate(parts), *outputs),
        )

    return Execution(functools.partial(by_width, model), run)
