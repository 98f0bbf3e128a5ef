"""What a heterogeneity score is."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import jax
import numpy as np

from hasa_jax.base import ClientData
from hasa_jax.numerics import in_32_bits
from hasa_jax.supernet.types import Model

ScoreFn = Callable[[ClientData, Model, jax.Array], np.ndarray]
"""`(training data, model, key) -> scores [N]`; larger means more heterogeneous."""

NUMBER_BYTES = 4
"""Clients send counts as int32 and numbers as float32."""


@dataclasses.dataclass(frozen=True)
class Score:
    """A score that says what each client sends for it; it is a `ScoreFn`.

    Attributes:
      values: computes the scores.
      numbers: `(training data, model) -> numbers` that a client sends once, beside the number of
        its examples.
    """

    values: ScoreFn
    numbers: Callable[[ClientData, Model], int]

    @in_32_bits
    def __call__(self, data: ClientData, model: Model, key: jax.Array) -> np.ndarray:
        """Returns the scores `[N]`."""
        return self.values(data, model, key)


def message_bytes(score: ScoreFn, data: ClientData, model: Model) -> float:
    """Returns the bytes that a client sends once for its score.

    Args:
      score: the score.
      data: training data of all clients.
      model: the supernet.

    Returns:
      The bytes of the score's numbers and of the number of examples; NaN for a function that is
      no `Score`, which does not say.
    """
    if not isinstance(score, Score):
        return float("nan")
    return NUMBER_BYTES * (score.numbers(data, model) + 1.0)


def one_number(data: ClientData, model: Model) -> int:
    """Says that a client sends its score, which it computes by itself."""
    del data, model
    return 1
