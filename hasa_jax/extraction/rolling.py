"""Rolling extraction: the window of kept units moves on every round."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp

from hasa_jax.base import UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Extraction


def rolling(step: int = 1) -> Extraction:
    """Keeps a window that starts `step` units further each round, and wraps around.

    Round j starts at `s = (j * step) mod U` and keeps `idx = {s, ..., s + k - 1} mod U`, so the
    windows of one round are nested. With a step that shares no factor with U (1 always), any U
    consecutive rounds keep each unit k times. Windows of a larger step overlap less.

    Args:
      step: units by which the window moves each round.

    Returns:
      An `Extraction`.

    Raises:
      UserError: if the step is not a positive integer.

    References:
      FedRolex, arXiv 2212.01548, Eq. 3.
    """
    if not (isinstance(step, int) and step >= 1):
        raise UserError(f"rolling moves by `step`={step!r} units: use an integer of 1 or more")
    return units.ranked(functools.partial(_from_window, step=step), by_size=True, name="rolling")


def _from_window(broadcast: Broadcast, step: int) -> dict[str, jax.Array]:
    """Ranks units by their distance from the start of the round's window."""

    def rank(count: int) -> jax.Array:
        # Both factors are reduced first, so that the product does not overflow late in a run.
        start = (broadcast.round % count) * (step % count) % count
        return (jnp.arange(count) - start) % count

    return {name: rank(count) for name, count in broadcast.model.groups.items()}
