"""FedRolex: a rolling window of units."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.client.objectives import cross_entropy, masked_cross_entropy
from hasa_jax.extraction import rolling
from hasa_jax.methods.method import Method, uniform_or_levels


def fedrolex(
    *, budget: float = 0.5, levels: Sequence[float] | None = None, step: int = 1
) -> Method:
    """Every client trains a window of units that moves on in each round.

    Of a group of U units, round j keeps `idx = {s, s + 1, ..., s + k - 1} mod U` with
    `s = (j step) mod U` (Eq. 3), so every unit is trained equally often. The scaler and the label
    split are HeteroFL's, and the server takes the coverage mean. Clients minimise HeteroFL's loss
    on their own classes, and plain cross-entropy on texts, as the authors' code does.

    Args:
      budget: size-weighted mean width `B` of the clients, which all have the same width.
      levels: widths that clients get in equal shares instead, without a budget.
      step: units by which the window moves in each round.

    Returns:
      The method.

    Raises:
      UserError: if the step is no positive integer.

    References:
      Alam et al., NeurIPS 2022, arXiv 2212.01548.
    """
    return Method(
        name="fedrolex",
        summary="a window of units that rolls with the rounds (arXiv 2212.01548)",
        extraction=rolling(step, levels or ()),
        objective=dataclasses.replace(masked_cross_entropy(), on_texts=cross_entropy()),
        policy=uniform_or_levels(levels),
        budget=BudgetSpec(budget),
        score=None,
        norm="batch",
        scaler="train",
        aggregation="coverage",
        client_weights="uniform",
        label_split=True,
    )
