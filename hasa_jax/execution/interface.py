"""What every execution is: a layout of cohorts, and a map over their subnets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import numpy as np

from hasa_jax.base import Cohort, PyTree
from hasa_jax.supernet import Broadcast, Subnet

ClientFn = Callable[[Subnet, jax.Array, jax.Array, int], tuple[PyTree, PyTree]]
"""`(subnet, client, weight, num_batches) -> (summed over clients, stacked per client)`."""

BroadcastFn = Callable[[jax.Array], Broadcast]
"""`client -> what its extraction may look at`."""

PlaceFn = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray, int], Cohort]
"""`(clients [C], k [C], weights [C], num_examples [N], batch_size) -> cohort`."""


class RunFn(Protocol):
    """Maps a client function over the subnets of a cohort."""

    def __call__(
        self, client_fn: ClientFn, broadcast: BroadcastFn, cohort: Cohort
    ) -> tuple[PyTree, PyTree]:
        """Returns (sums over clients, outputs stacked `[C]`)."""
        ...


class Execution(NamedTuple):
    """A way to run cohorts: `place` lays one out, `run` maps a function over its subnets."""

    place: PlaceFn
    run: RunFn
