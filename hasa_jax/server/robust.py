"""Means that some hostile clients cannot move far, coordinate by coordinate or by norm.

They need every update at once, where the plain mean needs two sums. The clients that hold a
coordinate decide it, as in `aggregation`: absent clients have no vote, or vote for no change with
`full`. Updates that are not finite never have a vote.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp

from hasa_jax.base import Params, PartialSum, PyTree
from hasa_jax.server.aggregation import all_finite

ROBUST = ("none", "norm_clip", "trimmed_mean", "median")
"""The plain mean; the mean of updates cut to the median norm of all; the mean without the
largest and smallest values of each coordinate; the median of each."""


def robust_sum(
    updates: Params,
    masks: PyTree,
    weights: jax.Array,
    *,
    robust: str,
    aggregation: str,
    trim: float,
) -> PartialSum:
    """Returns the round's update in the form of the two sums.

    With the values `v_1 <= ... <= v_n` of the `n` clients that hold a coordinate:
    `trimmed_mean`: the mean of all but the first and last `floor(trim n)`; `median`: the middle
    one, or the mean of the two; both without weights. `norm_clip`: the weighted mean of
    `u_i min(1, c / |u_i|)` with `c` the median norm of the updates.

    Args:
      updates: in supernet coordinates `[C, ...]`.
      masks: 1 where a coordinate is the client's `[C, ...]`, broadcastable to the updates.
      weights: the clients' weights `[C]`; clients of weight 0 are not there.
      robust: one of `ROBUST`, but for `none`.
      aggregation: one of `AGGREGATIONS`.
      trim: share that is cut off at each side.

    Returns:
      Sums whose mean is the robust one.

    References:
      Trimmed mean and median: Yin et al., arXiv 1803.01498. Clipping to the median norm: after
      Sun et al., arXiv 1911.07963, whose bound is a constant.
    """
    present = (weights > 0) & jax.vmap(all_finite)(updates)
    weights = jnp.where(present, weights, 0.0)

    def there(update: jax.Array) -> jax.Array:
        return jnp.broadcast_to(_along(present, update), update.shape)

    def held(mask: jax.Array, update: jax.Array) -> jax.Array:
        moved = update != 0 if aggregation == "nonzero" else True
        return there(update) & (mask > 0) & moved

    holds = jax.tree.map(held, masks, updates)
    updates = jax.tree.map(lambda u, h: jnp.where(h, u, 0.0), updates, holds)
    if robust == "norm_clip":
        return _clipped(updates, holds, weights)
    cut = 0.5 if robust == "median" else trim
    # Without a coordinate a client has no vote there; with `full` it votes for no change.
    votes = jax.tree.map(there, updates) if aggregation == "full" else holds
    means = jax.tree.map(lambda u, v: _middle(u, v, cut), updates, votes)
    covered = jax.tree.map(lambda h: h.any(axis=0).astype(jnp.float32), holds)
    return PartialSum(means, covered, jnp.float32(1.0))


def _along(vector: jax.Array, like: jax.Array) -> jax.Array:
    """Gives a vector the rank of another array, along its first axis."""
    return vector.reshape((-1,) + (1,) * (like.ndim - 1))


def _middle(values: jax.Array, holds: jax.Array, cut: float) -> jax.Array:
    """Averages each coordinate's values without a share of them at each side; 0 if none hold it."""
    count = holds.sum(axis=0)
    ordered = jnp.sort(jnp.where(holds, values, jnp.inf), axis=0)
    # At least one value stays, or two of an even number. A share that is a whole number of values
    # stays one, whatever rounding says.
    most = jnp.maximum(count - 1, 0) // 2
    off = jnp.minimum(jnp.floor(cut * count + 1e-4).astype(count.dtype), most)
    place = _along(jnp.arange(len(values)), values)
    stays = (place >= off[None]) & (place < (count - off)[None])
    kept = jnp.maximum(count - 2 * off, 1)
    return jnp.sum(jnp.where(stays, ordered, 0.0), axis=0) / kept


def _clipped(updates: Params, holds: PyTree, weights: jax.Array) -> PartialSum:
    """Sums updates whose norm is cut to the median of all."""
    squares = [jnp.sum(u.reshape(len(weights), -1) ** 2, axis=1) for u in jax.tree.leaves(updates)]
    norms = jnp.sqrt(sum(squares))
    bound = _middle(norms, weights > 0, 0.5)
    factors = weights * jnp.minimum(1.0, bound / jnp.maximum(norms, 1e-30))

    total = jax.tree.map(lambda u: jnp.sum(_along(factors, u) * u, axis=0), updates)
    weight = jax.tree.map(lambda h: jnp.sum(_along(weights, h) * h, axis=0), holds)
    return PartialSum(total, weight, jnp.sum(weights))
