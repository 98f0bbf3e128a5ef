"""Sums of clients that are written down by hand."""

import jax.numpy as jnp
import numpy as np

from hasa_jax.base import PartialSum

OLD = np.array([10.0, 20.0], np.float32)
VECTOR_B = [(1.0, {(0,): 14.0}), (3.0, {(1,): 30.0})]


def sums(clients, old):
    """Adds up clients given as (weight, {index tuple: value}) against the old parameters."""
    total, weight = np.zeros_like(old), np.zeros_like(old)
    for a, values in clients:
        for index, value in values.items():
            total[index] += a * (value - old[index])
            weight[index] += a
    mass = jnp.float32(sum(a for a, _ in clients))
    return PartialSum(jnp.asarray(total), jnp.asarray(weight), mass)
