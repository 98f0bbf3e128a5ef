"""What a policy is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.stats import ClientStats

WidthsFn = Callable[[ClientStats, Budget, jax.Array], np.ndarray]
"""`(stats, budget, key) -> widths [N]`, float64. A client of width 0 takes no part in training."""


@dataclasses.dataclass(frozen=True)
class Policy:
    """A rule that gives every client a width.

    Attributes:
      widths: computes the widths; the key is consumed.
      budgeted: whether the rounded widths must meet the budget. The widths of other policies are
        used as they are, and the budget only supplies the unit of their levels and their bounds.
      dynamic: whether widths are computed again in every round, with a key of that round.
      levels: whether its widths are levels in the unit of the budget, though it follows none.
      scored: whether the policy reads the clients' heterogeneity scores.
      name: its name in `POLICIES`, for messages.
    """

    widths: WidthsFn
    budgeted: bool = True
    dynamic: bool = False
    levels: bool = False
    scored: bool = False
    name: str = "custom"

    @property
    def reads_unit(self) -> bool:
        """Whether its widths depend on the unit of the budget."""
        return self.budgeted or self.levels
