"""Rolling extraction: the window of kept units moves on every round."""

from __future__ import annotations

import functools
from collections.abc import Sequence

import jax
import jax.numpy as jnp

from hasa_jax.base import UserError
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Broadcast, Extraction


def rolling(step: int = 1, levels: Sequence[float] = ()) -> Extraction:
    """Keeps a window that starts `step` units further each round, and wraps around.

    Round j starts at `s = (j * step) mod U` and keeps `idx = {s, ..., s + k - 1} mod U`, so the
    windows of one round are nested. With a step that shares no factor with U (1 always), any U
    consecutive rounds keep each unit k times. Windows of a larger step overlap less.

    Args:
      step: units by which the window moves each round.
      levels: published widths of the clients; one of them keeps `ceil(U level)` of U units.

    Returns:
      An `Extraction`.

    Raises:
      UserError: if the step is not a positive integer, or a level is not in (0, 1].

    References:
      FedRolex, arXiv 2212.01548, Eq. 3.
    """
    if not (isinstance(step, int) and step >= 1):
        raise UserError(f"rolling moves by `step`={step!r} units: use an integer of 1 or more")
    order = functools.partial(_from_window, step=step)
    return units.ranked(order, levels=levels, by_size=True, name="rolling")


def _from_window(broadcast: Broadcast, step: int) -> dict[str, jax.Array]:
    """Ranks units by their distance from the start of the round's window."""

    def rank(count: int) -> jax.Array:
        # Both factors are reduced first, so that the product does not overflow late in a run.
        start = (broadcast.round % count) * (step % count) % count
        return (jnp.arange(count) - start) % count

    return {name: rank(count) for name, count in broadcast.model.groups.items()}
