"""What a policy is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError

WidthsFn = Callable[[ClientStats, Budget, jax.Array], np.ndarray]
"""`(stats, budget, key) -> widths [N]`, float64. A client of width 0 takes no part in training."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """A rule that gives every client a width.

    Attributes:
      widths: computes the widths; the key is consumed.
      budgeted: whether the rounded widths must meet the budget. The widths of other policies are
        used as they are, and the budget only supplies the unit of their levels and their bounds.
      dynamic: whether widths are computed again in every round, with a key of that round. Of a
        policy that reallocates, it is so before the first measurement, and in the first round
        after each measurement.
      levels: whether its widths are levels in the unit of the budget, though it follows none.
      scored: whether the policy reads the clients' heterogeneity scores.
      reallocate_every: rounds after which the clients measure their losses at some nested widths,
        and widths are computed from them (`ClientStats.measured`); 0 for never.
      num_widths: widths that are measured, spread evenly from `w_min` to the widest cap.
      held_out: share of each client's training examples that it measures on, and never trains on.
      name: its name in `POLICIES`, for messages.

    Raises:
      UserError: for numbers that do not allow to reallocate.
    """

    widths: WidthsFn
    budgeted: bool = True
    dynamic: bool = False
    levels: bool = False
    scored: bool = False
    reallocate_every: int = 0
    num_widths: int = 0
    held_out: float = 0.0
    name: str = "custom"

    def __post_init__(self) -> None:
        """Refuses numbers out of range."""
        if self.reallocate_every == 0:
            return
        if self.reallocate_every < 2:
            raise UserError(
                f"`reallocate_every` is {self.reallocate_every}: it must be at least 2, as the "
                "first round after a measurement may draw its widths; 0 for never"
            )
        if self.num_widths < 2:
            raise UserError(f"`num_widths` is {self.num_widths}: measure at least 2 widths")
        if not 0 < self.held_out < 1:
            raise UserError(f"`held_out` is {self.held_out}: it must be a share between 0 and 1")

    @property
    def reads_unit(self) -> bool:
        """Whether its widths depend on the unit of the budget."""
        return self.budgeted or self.levels
