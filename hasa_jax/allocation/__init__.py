"""Policies: from client statistics to a width for every client under the budget."""

import functools

from hasa_jax.allocation.capacity import capacity
from hasa_jax.allocation.fixed import fixed
from hasa_jax.allocation.hasa import hasa
from hasa_jax.allocation.plan import Allocation, allocate
from hasa_jax.allocation.random import random
from hasa_jax.allocation.size_proportional import size_proportional
from hasa_jax.allocation.uniform import uniform

POLICIES = {
    "capacity": capacity,
    "fixed": fixed,
    "hasa": hasa,
    "inverse_hasa": functools.partial(hasa, inverse=True),
    "random": random,
    "size_proportional": size_proportional,
    "uniform": uniform,
}

__all__ = [
    "POLICIES",
    "Allocation",
    "allocate",
    "capacity",
    "fixed",
    "hasa",
    "random",
    "size_proportional",
    "uniform",
]
