"""Trees of arrays as arrays by name, and back: PRNG keys become numbers on the way.

An array that is on devices of several processes stays where it is: no process has all of it.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import PyTree


def named_leaves(states: PyTree) -> list[tuple[str, np.ndarray | jax.Array]]:
    """Lists the leaves of a tree.

    Args:
      states: any tree of arrays and PRNG keys.

    Returns:
      Their paths, and copies of them: on the host, or on the devices of several processes; keys as
      numbers.
    """
    leaves, _ = jax.tree_util.tree_flatten_with_path(states)
    return [
        (jax.tree_util.keystr(path, simple=True, separator="/"), _copied(_plain(leaf)))
        for path, leaf in leaves
    ]


def _plain(leaf: jax.Array) -> jax.Array:
    """Returns the numbers of a PRNG key; other arrays as they are."""
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _copied(leaf: jax.Array | np.ndarray) -> jax.Array | np.ndarray:
    """Returns a copy that stays when a program takes the array's memory."""
    if isinstance(leaf, jax.Array) and not leaf.is_fully_addressable:
        return leaf.copy()
    return np.array(leaf)


def _is_key(leaf: jax.Array) -> bool:
    """Returns whether an array holds PRNG keys."""
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def rebuilt(arrays: Mapping[str, np.ndarray | jax.Array], like: PyTree) -> PyTree:
    """Puts arrays back into a tree.

    Args:
      arrays: by path, as `named_leaves` gives them.
      like: a tree of the same structure, shapes and types.

    Returns:
      The tree, its keys PRNG keys again.

    Raises:
      ValueError: if a shape or type differs.
      KeyError: if an array is missing.
    """
    leaves, tree = jax.tree.flatten(like)
    new = []
    for (name, plain), leaf in zip(named_leaves(like), leaves, strict=True):
        array = arrays[name]
        if (array.shape, array.dtype) != (plain.shape, plain.dtype):
            raise ValueError(f"{name} is {array.dtype}{array.shape}, not of this run's shape")
        if _is_key(leaf):
            new.append(jax.random.wrap_key_data(jnp.asarray(array), impl=jax.random.key_impl(leaf)))
        else:
            new.append(array)
    return tree.unflatten(new)
