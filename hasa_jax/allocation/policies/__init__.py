"""Policies: from client statistics to a width for every client."""

from collections.abc import Callable

from hasa_jax.allocation.policies.capacity import capacity
from hasa_jax.allocation.policies.exclusive import exclusive
from hasa_jax.allocation.policies.fixed import fixed
from hasa_jax.allocation.policies.full import full
from hasa_jax.allocation.policies.hasa import hasa, inverse_hasa
from hasa_jax.allocation.policies.inverse_size import inverse_size
from hasa_jax.allocation.policies.levels import levels
from hasa_jax.allocation.policies.need import need
from hasa_jax.allocation.policies.random import random
from hasa_jax.allocation.policies.size_proportional import size_proportional
from hasa_jax.allocation.policies.smallest import smallest
from hasa_jax.allocation.policies.uniform import uniform
from hasa_jax.allocation.policy import Policy

POLICIES: dict[str, Callable[..., Policy]] = {
    "capacity": capacity,
    "exclusive": exclusive,
    "fixed": fixed,
    "full": full,
    "hasa": hasa,
    "inverse_hasa": inverse_hasa,
    "inverse_size": inverse_size,
    "levels": levels,
    "need": need,
    "random": random,
    "size_proportional": size_proportional,
    "smallest": smallest,
    "uniform": uniform,
}

__all__ = [
    "POLICIES",
    "capacity",
    "exclusive",
    "fixed",
    "full",
    "hasa",
    "inverse_hasa",
    "inverse_size",
    "levels",
    "need",
    "random",
    "size_proportional",
    "smallest",
    "uniform",
]
