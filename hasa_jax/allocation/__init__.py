"""Policies: from client statistics to a width for every client."""

import functools

from hasa_jax.allocation.bounds import exclusive, full, smallest
from hasa_jax.allocation.capacity import capacity
from hasa_jax.allocation.fixed import fixed
from hasa_jax.allocation.hasa import hasa
from hasa_jax.allocation.levels import levels
from hasa_jax.allocation.plan import Allocation, allocate
from hasa_jax.allocation.random import random
from hasa_jax.allocation.size_proportional import size_proportional
from hasa_jax.allocation.uniform import uniform

# Policies that meet the budget.
POLICIES = {
    "capacity": capacity,
    "fixed": fixed,
    "hasa": hasa,
    "inverse_hasa": functools.partial(hasa, inverse=True),
    "random": random,
    "size_proportional": size_proportional,
    "uniform": uniform,
}

# Allocations that follow none: bounds, and published levels.
UNBUDGETED = {
    "exclusive": exclusive,
    "full": full,
    "levels": levels,
    "smallest": smallest,
}

__all__ = [
    "POLICIES",
    "UNBUDGETED",
    "Allocation",
    "allocate",
    "capacity",
    "exclusive",
    "fixed",
    "full",
    "hasa",
    "levels",
    "random",
    "size_proportional",
    "smallest",
    "uniform",
]
