"""Policies: from client statistics to a width for every client."""

import functools

from hasa_jax.allocation.allocation import Allocation, allocate
from hasa_jax.allocation.policies.bounds import exclusive, full, smallest
from hasa_jax.allocation.policies.capacity import capacity
from hasa_jax.allocation.policies.fixed import fixed
from hasa_jax.allocation.policies.hasa import hasa
from hasa_jax.allocation.policies.levels import levels
from hasa_jax.allocation.policies.random import random
from hasa_jax.allocation.policies.size_proportional import size_proportional
from hasa_jax.allocation.policies.uniform import uniform

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
