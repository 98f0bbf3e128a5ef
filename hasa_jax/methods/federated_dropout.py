"""Federated Dropout: random units for each client and round."""

from __future__ import annotations

from collections.abc import Sequence

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.client.objectives import cross_entropy
from hasa_jax.extraction import random
from hasa_jax.methods.method import Method, uniform_or_levels


def federated_dropout(
    *,
    budget: float = 0.5,
    levels: Sequence[float] | None = None,
    shared: bool = False,
    scaler: str = "none",
) -> Method:
    """Every client trains units that are drawn at random in each round.

    Of a group of U units a client keeps k, `idx = sort(randperm(U)[:k])`, so each unit with
    probability k / U. The server takes the coverage mean
    `theta <- theta + sum_i m_i (theta_i - theta) / sum_i m_i`, `m_i` being 1 where client i holds
    the coordinate.

    Args:
      budget: size-weighted mean width `B` of the clients, which all have the same width.
      levels: widths that clients get in equal shares instead, without a budget.
      shared: whether all clients of a round share one draw, instead of one each.
      scaler: `none` trains the small dense model as it is; `inverted_dropout` multiplies what is
        kept by 1 / p in training, as dropout does; `train` is the scaler of HeteroFL before the
        norms, which the baseline in FedRolex's code has.

    Returns:
      The method.

    Raises:
      UserError: for an unknown scaler, or a level that is not in (0, 1].

    References:
      Caldas et al., arXiv 1812.07210.
    """
    return Method(
        name="federated_dropout",
        summary="units drawn at random for each client and round (arXiv 1812.07210)",
        extraction=random(shared, levels or ()),
        objective=cross_entropy(),
        policy=uniform_or_levels(levels),
        budget=BudgetSpec(budget),
        score=None,
        norm="static",
        scaler=scaler,
        aggregation="coverage",
        client_weights="uniform",
        label_split=False,
    )
