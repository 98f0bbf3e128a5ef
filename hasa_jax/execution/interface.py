"""What every execution is: a layout of cohorts, and a map over their subnets."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

import jax
import numpy as np

from hasa_jax.base import Cohort, PyTree
from hasa_jax.supernet.types import Broadcast, Subnet


class Turn(NamedTuple):
    """What a client function is told of the turn that its client takes part in.

    Attributes:
      num_batches: batches that the largest client of all needs for one pass (static).
      steps: local steps that this client has time for.
      over_lanes: the largest value of a scalar over the clients that run together; the same
        for all of them, so that a loop or a condition on it stays one.
    """

    num_batches: int
    steps: jax.Array
    over_lanes: Callable[[jax.Array], jax.Array]


ClientFn = Callable[[Subnet, jax.Array, jax.Array, Turn], tuple[PyTree, PyTree]]
"""`(subnet, client, weight, turn) -> (summed over clients, stacked per client)`."""

BroadcastFn = Callable[[jax.Array], Broadcast]
"""`client -> what its extraction may look at`."""


class PlaceFn(Protocol):
    """Lays out a cohort; see `hasa_jax.execution.placement.place`."""

    def __call__(
        self,
        clients: np.ndarray,
        kept: np.ndarray,
        weights: np.ndarray,
        num_examples: np.ndarray,
        batch_size: int,
        possible: np.ndarray | None = None,
        alone: bool = False,
    ) -> Cohort:
        """Returns the cohort of clients `[C]`."""
        ...


class RunFn(Protocol):
    """Maps a client function over the subnets of a cohort."""

    def __call__(
        self, client_fn: ClientFn, broadcast: BroadcastFn, cohort: Cohort
    ) -> tuple[PyTree, PyTree]:
        """Returns (sums over clients, outputs stacked `[P, V, L]`)."""
        ...


class Execution(NamedTuple):
    """A way to run cohorts: `place` lays one out, `run` maps a function over its subnets."""

    place: PlaceFn
    run: RunFn
