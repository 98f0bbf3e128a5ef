"""Sizes by a policy: its widths, checked and rounded."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax.allocation.budget import Budget
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.rounding import round_to_sizes
from hasa_jax.allocation.stats import ClientStats
from hasa_jax.base import UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Model


def draw_sizes(
    policy: Policy, stats: ClientStats, budget: Budget, model: Model, key: jax.Array
) -> tuple[np.ndarray, np.ndarray]:
    """Computes every client's size.

    Args:
      policy: gives the widths.
      stats: what it looks at.
      budget: target and bounds.
      model: the supernet.
      key: consumed.

    Returns:
      Sizes `[N]`, int64, and which clients take part `[N]`, bool.

    Raises:
      UserError: for widths that a policy must not return, or a budget that cannot be met.
    """
    widths = _checked_widths(policy, policy.widths(stats, budget, key), len(stats.num_examples))
    if policy.budgeted:
        return round_to_sizes(widths, stats, budget), widths > 0
    # A client that takes no part is evaluated at the size that its device holds.
    shown = np.where(widths > 0, widths, stats.max_widths)
    distinct = np.unique(shown)
    sizes = np.array([units.size_of_width(model, width) for width in distinct])
    return sizes[np.searchsorted(distinct, shown)], widths > 0


def _checked_widths(policy: Policy, widths: np.ndarray, num_clients: int) -> np.ndarray:
    """Refuses what a policy must not return."""
    widths = np.asarray(widths, np.float64)
    if widths.shape != (num_clients,):
        raise UserError(
            f"policy {policy.name} returned widths of shape {widths.shape} for {num_clients} "
            "clients: it must return one a client"
        )
    wrong = ~((widths >= 0) & (widths <= 1 + 1e-9))
    if wrong.any():
        client = int(np.argmax(wrong))
        raise UserError(
            f"policy {policy.name} returned the width {widths[client]} for client {client}: "
            "widths are in [0, 1]"
        )
    return widths
