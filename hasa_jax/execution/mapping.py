"""Maps a function over the clients of a block, some at once, and adds up what it says."""

from __future__ import annotations

from collections.abc import Callable

import jax
import jax.numpy as jnp

from hasa_jax.base import PyTree


def default_clients_at_once() -> int | None:
    """Returns how many clients share one `vmap`: one on CPUs, all elsewhere.

    On CPUs a batched product of small matrices is slower than the products one by one, and
    clients run one by one stop at their own last batch.
    """
    return 1 if jax.default_backend() == "cpu" else None


def sum_over_clients(
    function: Callable[..., tuple[PyTree, PyTree]], clients: PyTree, at_once: int | None
) -> tuple[PyTree, PyTree]:
    """Maps over the leading axis, adding up first results and stacking second ones.

    Args:
      function: `client -> (summed, stacked)`.
      clients: tree of arrays `[C, ...]`.
      at_once: clients in one `vmap`; None for all. Groups of clients run one after the other,
        so that memory holds one group's parameters.

    Returns:
      (Sum over the clients, outputs `[C, ...]`).
    """
    count = jax.tree.leaves(clients)[0].shape[0]
    if at_once is None or at_once >= count:
        return _together(function, clients)
    rest = count % at_once
    grouped = jax.tree.map(
        lambda x: x[: count - rest].reshape(count // at_once, at_once, *x.shape[1:]), clients
    )
    first = jax.tree.map(lambda x: x[0], clients)
    zeros = jax.tree.map(lambda x: jnp.zeros(x.shape, x.dtype), jax.eval_shape(function, first)[0])

    def body(total: PyTree, group: PyTree) -> tuple[PyTree, PyTree]:
        if at_once == 1:
            summed, stacked = function(jax.tree.map(lambda x: x[0], group))
            stacked = jax.tree.map(lambda x: x[None], stacked)
        else:
            summed, stacked = _together(function, group)
        return jax.tree.map(jnp.add, total, summed), stacked

    total, stacked = jax.lax.scan(body, zeros, grouped)
    stacked = jax.tree.map(lambda x: x.reshape(count - rest, *x.shape[2:]), stacked)
    if rest:
        last = jax.tree.map(lambda x: x[count - rest :], clients)
        more, tail = _together(function, last)
        total = jax.tree.map(jnp.add, total, more)
        stacked = jax.tree.map(lambda a, b: jnp.concatenate([a, b]), stacked, tail)
    return total, stacked


def _together(
    function: Callable[..., tuple[PyTree, PyTree]], clients: PyTree
) -> tuple[PyTree, PyTree]:
    """Maps over the clients in one `vmap`."""
    summed, stacked = jax.vmap(function)(clients)
    return jax.tree.map(lambda x: jnp.sum(x, axis=0), summed), stacked
