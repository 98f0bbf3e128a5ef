"""Subnets of a network's state, and the mean of what clients send over those that hold it."""

# pyright: reportMissingImports=false
from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch

State = dict[str, Any]
"""Parameters by name."""


def cut(state: State, like: State) -> State:
    """Cuts the first rows and columns out of every parameter.

    Of stacked parameters (gates of an LSTM, heads) these are not the first units of each; it costs
    as much.

    Args:
      state: of the supernet.
      like: has the shapes of the subnet.

    Returns:
      Copies.
    """
    return {
        name: state[name][tuple(slice(side) for side in value.shape)].clone()
        for name, value in like.items()
    }


def averaged(state: State, trained: Iterable[tuple[State, float]]) -> State:
    """Averages every entry over the clients that hold it; others stay as they are.

    Args:
      state: of the supernet.
      trained: state and weight of every client.

    Returns:
      The new state.
    """
    totals = {name: torch.zeros_like(value) for name, value in state.items()}
    masses = {name: torch.zeros_like(value) for name, value in state.items()}
    for own, weight in trained:
        for name, value in own.items():
            held = tuple(slice(side) for side in value.shape)
            totals[name][held] += weight * value
            masses[name][held] += weight
    return {
        name: torch.where(masses[name] > 0, totals[name] / masses[name].clamp(min=1e-12), value)
        for name, value in state.items()
    }
