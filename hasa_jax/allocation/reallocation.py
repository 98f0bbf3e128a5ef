"""Sizes that follow measurements: what is measured, and what each measurement gave."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import NamedTuple

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.drawing import draw_sizes
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.stats import ClientStats, Measured
from hasa_jax.supernet.types import Model


class Reallocation(NamedTuple):
    """Sizes that follow measurements, which come once in some rounds.

    Attributes:
      every: rounds between measurements; the first one is after so many rounds.
      sizes: the sizes that are measured `[W]`, int64, rising.
      held: which of them each client's device holds `[N, W]`, bool.
      grid: all sizes that a client can get, int64, rising.
      give: `(stats, losses [N, W], targets [N], given before) -> sizes [N]`.
      given: what each measurement gave, `[N]` each.
    """

    every: int
    sizes: np.ndarray
    held: np.ndarray
    grid: np.ndarray
    give: Callable[[ClientStats, np.ndarray, np.ndarray, Sequence[np.ndarray]], np.ndarray]
    given: tuple[np.ndarray, ...] = ()

    def begins(self, round: int) -> bool:
        """Returns whether a round is the first one after a measurement."""
        return round > 0 and round % self.every == 0

    def given_at(self, round: int) -> np.ndarray | None:
        """Returns what the latest measurement before a round gave `[N]`; None before the first."""
        count = min(round // self.every, len(self.given))
        return self.given[count - 1] if count else None

    def idle(self, num_rounds: int) -> str:
        """Returns a line if a run of so many rounds ends before the first measurement, else ""."""
        if num_rounds > self.every:
            return ""
        return (
            f"never measures: it would after round {self.every}, but the run has {num_rounds} "
            "rounds, so all widths are those before a measurement: lower `reallocate_every` or "
            "raise `num_rounds`"
        )


def reallocation_of(
    policy: Policy, stats: ClientStats, budget: Budget, model: Model, key: jax.Array
) -> Reallocation | None:
    """Returns what a policy measures, before it has measured anything.

    Args:
      policy: the policy.
      stats: what it looks at, without measurements.
      budget: target and bounds.
      model: the supernet.
      key: root key of the run; it is not consumed.

    Returns:
      The sizes to measure, and how others follow; None for a policy that does not reallocate.
    """
    if not policy.reallocate_every:
        return None
    least, most = int(budget.sizes_within(budget.w_min)), budget.sizes_within(budget.caps(stats))
    spread = np.rint(np.linspace(least, most.max(), policy.num_widths)).astype(np.int64)
    # Sizes that cost the same are one size.
    sizes = spread[np.unique(budget.costs[spread], return_index=True)[1]]
    held = sizes <= most[:, None]
    give = functools.partial(_given_sizes, policy, budget, model, sizes, held, key)
    # No budget bounds the others.
    grid = (
        np.arange(least, most.max() + 1) if policy.budgeted else np.arange(1, budget.num_units + 1)
    )
    return Reallocation(policy.reallocate_every, sizes, held, grid, give)


def _given_sizes(
    policy: Policy,
    budget: Budget,
    model: Model,
    measured: np.ndarray,
    held: np.ndarray,
    key: jax.Array,
    stats: ClientStats,
    losses: np.ndarray,
    targets: np.ndarray,
    given: Sequence[np.ndarray],
) -> np.ndarray:
    """Returns the sizes that a policy gives by one more measurement `[N]`."""
    known = held & (targets > 0)[:, None]
    fresh = Measured(
        widths=measured / budget.num_units,
        losses=np.where(known, losses, np.nan),
        targets=targets,
        current=given[-1] / budget.num_units if given else None,
    )
    own = keys.address(key, keys.Stream.REALLOCATED, len(given))
    return draw_sizes(policy, dataclasses.replace(stats, measured=fresh), budget, model, own)[0]
