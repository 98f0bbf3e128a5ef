"""Prefix extraction: a subnet keeps the first units of every group."""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp

from hasa_jax.base import OrderFn, Params


def prefix() -> OrderFn:
    """Ranks the units by their position, always: nested subnets, `idx = {0, ..., k - 1}`.

    Returns:
      An `OrderFn`.

    References:
      HeteroFL, arXiv 2010.01264; the extraction of HASA, arXiv 2606.07621.
    """

    def order(
        params: Params, groups: Mapping[str, int], round: jax.Array, key: jax.Array
    ) -> dict[str, jax.Array]:
        del params, round, key
        return {name: jnp.arange(size) for name, size in groups.items()}

    return order
