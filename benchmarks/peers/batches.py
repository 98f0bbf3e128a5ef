"""Batches of a round, as `benchmarks.peers.export` writes them. Needs NumPy only."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np


class Batches(NamedTuple):
    """Batches of a round and what its clients hold, a list entry for every client.

    Attributes:
      inputs: its batches `[S, B, ...]`: images `[S, B, height, width, channels]`, features
        `[S, B, F]` or tokens `[S, B, T]`.
      targets: the same, `[S, B]` or `[S, B, T]`; negative where there is no loss.
      kept: what it keeps of every group.
      parameters: how many parameters its network has.
      weights: its weight in the mean.
      full: what the supernet has of every group.
      full_parameters: how many parameters the supernet has.
      num_classes: classes.
      num_tokens: token ids of texts, 0 otherwise.
    """

    inputs: list[np.ndarray]
    targets: list[np.ndarray]
    kept: list[dict[str, int]]
    parameters: list[int]
    weights: list[float]
    full: dict[str, int]
    full_parameters: int
    num_classes: int
    num_tokens: int


def load(path: str | os.PathLike[str]) -> Batches:
    """Reads batches.

    Args:
      path: an `.npz` file.

    Returns:
      The batches.
    """
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    groups, ends = arrays["groups"].tolist(), np.cumsum(arrays["steps"])[:-1]
    return Batches(
        np.split(arrays["inputs"], ends),
        np.split(arrays["targets"], ends),
        [dict(zip(groups, row, strict=True)) for row in arrays["kept"].tolist()],
        arrays["parameters"].tolist(),
        arrays["weights"].tolist(),
        dict(zip(groups, arrays["full"].tolist(), strict=True)),
        int(arrays["full_parameters"]),
        int(arrays["num_classes"]),
        int(arrays["num_tokens"]),
    )


def check_parameters(kept: Mapping[str, int], count: int, expected: int) -> None:
    """Stops where a peer's network is another one than this library's.

    Args:
      kept: what it keeps of every group.
      count: its parameters.
      expected: those of this library's network at that size.

    Raises:
      ValueError: if they differ.
    """
    if count != expected:
        raise ValueError(f"{count} parameters at {dict(kept)}, but this library has {expected}")
