"""Coordinate median: FedAvg by the median of each coordinate."""

from __future__ import annotations

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.allocation.policies import full
from hasa_jax.client.objectives import cross_entropy
from hasa_jax.extraction import prefix
from hasa_jax.methods.method import Method


def coordinate_median() -> Method:
    """FedAvg that takes the median of every coordinate of the updates instead of their mean.

    `theta <- theta + med_i(theta_i - theta)`, coordinate by coordinate and without weights: fewer
    than half of the clients cannot move a coordinate beyond what the others sent.

    Returns:
      The method.

    References:
      Yin et al., arXiv 1803.01498.
    """
    return Method(
        name="coordinate_median",
        summary="FedAvg by the median of each coordinate (arXiv 1803.01498)",
        extraction=prefix(),
        objective=cross_entropy(),
        policy=full(),
        budget=BudgetSpec(),
        score=None,
        norm="static",
        scaler="none",
        aggregation="coverage",
        client_weights="uniform",
        label_split=False,
        robust="median",
    )
