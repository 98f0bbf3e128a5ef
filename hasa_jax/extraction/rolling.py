"""Rolling extraction: the window of kept units moves on every round."""

from __future__ import annotations

import jax
import jax.numpy as jnp

from hasa_jax.base import UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Extraction


def rolling(step: int = 1) -> Extraction:
    """Keeps a window that starts `step` units further each round, and wraps around.

    Round j starts at `s = (j * step) mod U` and keeps `idx = {s, ..., s + k - 1} mod U`, so
    windows of one round are nested. With a step that shares no factor with U (1 always), any U
    consecutive rounds keep each unit k times. A larger step makes windows overlap less.

    Args:
      step: units by which the window moves each round.

    Returns:
      An `Extraction`.

    Raises:
      UserError: if the step is no positive integer.

    References:
      FedRolex, arXiv 2212.01548, Eq. 3.
    """
    if not (isinstance(step, int) and step >= 1):
        raise UserError(f"rolling by {step!r} units a round: use an integer of 1 or more")

    def order(broadcast: Broadcast) -> dict[str, jax.Array]:
        def rank(size: int) -> jax.Array:
            # Both factors are reduced first, lest the product overflow late in a run.
            start = (broadcast.round % size) * (step % size) % size
            return (jnp.arange(size) - start) % size

        return {name: rank(size) for name, size in broadcast.model.groups.items()}

    return units.ranked(order, by_size=True)
