"""Which round's subnets are evaluated, where subnets change from round to round."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp

from hasa_jax.base import ServerState

DRAWS = ("last", "next")
"""The subnets of the last round, which were trained, or those of the next one, which were not."""


def scored_round(done: int, draw: str) -> int:
    """Returns the round whose subnets and sizes are evaluated.

    Windows, random draws and dynamic sizes change in every round. After `done` rounds the last
    ones that a client can have trained are those of round `done - 1`.

    Args:
      done: rounds done.
      draw: one of `DRAWS`.

    Returns:
      The round, counted from 0; before round 0 it is that round.
    """
    return max(done - 1, 0) if draw == "last" else done


def scored_state(state: ServerState, draw: str) -> ServerState:
    """Returns the server's state at the round whose subnets are evaluated.

    Args:
      state: the server's state, of one trial or of several.
      draw: one of `DRAWS`.

    Returns:
      The same parameters, at the round of `scored_round`.
    """
    if draw == "next":
        return state
    return dataclasses.replace(state, round=jnp.maximum(state.round - 1, 0))
