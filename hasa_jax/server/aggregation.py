"""The server's mean as two sums: `sum_i a_i m_i (theta_i - theta)` and `sum_i a_i m_i`.

Sums add over clients, lanes, devices and hosts, so every way of running a cohort shares this one
aggregation. Summing differences instead of parameters gives the same mean. It keeps the low bits
of small updates, and a coordinate that no client trained is an exact zero.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PartialSum, PyTree, UserError

AGGREGATIONS = ("coverage", "full", "nonzero")
"""Denominators: the clients that hold a coordinate, all clients of the round, or the clients
that moved it."""


def check(aggregation: str) -> None:
    """Refuses an unknown aggregation."""
    if aggregation not in AGGREGATIONS:
        raise UserError(
            f"unknown `aggregation` {aggregation!r}: use one of {', '.join(AGGREGATIONS)}"
        )


def partial_sum(update: Params, masks: PyTree, weight: jax.Array, aggregation: str) -> PartialSum:
    """One client's contribution to both sums.

    Args:
      update: `theta_i - theta` in supernet coordinates.
      masks: 1 where a coordinate is the client's, broadcastable to the update.
      weight: the client's weight `a_i`, a scalar; 0 makes it inert.
      aggregation: one of `AGGREGATIONS`.

    Returns:
      The client's `PartialSum`.
    """
    if aggregation == "nonzero":
        masks = jax.tree.map(lambda m, u: m * (u != 0).astype(m.dtype), masks, update)

    def contribution(mask: jax.Array, change: jax.Array) -> jax.Array:
        # A client without weight must be inert even if its update is not a number.
        return jnp.where((weight > 0) & (mask > 0), weight * change, 0.0)

    return PartialSum(
        total=jax.tree.map(contribution, masks, update),
        weight=jax.tree.map(lambda m: weight * m, masks),
        mass=weight,
    )


def all_finite(tree: PyTree) -> jax.Array:
    """Returns whether every number of a tree is finite, as a bool scalar."""
    leaves = [jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(tree)]
    return jnp.stack(leaves).all()


def mean_update(partial: PartialSum, aggregation: str) -> PyTree:
    """Finishes the mean of the clients' updates.

    `coverage`: `sum a m (theta_i - theta) / sum a m`, and 0 where no client trained.
    `full`: the same sum over `sum a`: absent coordinates count as unchanged.
    `nonzero`: as `coverage`, `m` being 1 where the client's update is not zero.

    Args:
      partial: sums over all clients of the round.
      aggregation: one of `AGGREGATIONS`.

    Returns:
      The mean update, shaped like the params.

    Raises:
      UserError: if the aggregation is unknown.

    References:
      Coverage: HeteroFL, arXiv 2010.01264. Full: FedAvg, arXiv 1602.05629. Non-zero: FIARSE,
      arXiv 2407.19389.
    """
    check(aggregation)

    def mean(total, weight):
        count = partial.mass if aggregation == "full" else weight
        return jnp.where(count > 0, total / jnp.where(count > 0, count, 1.0), 0.0)

    return jax.tree.map(mean, partial.total, partial.weight)
