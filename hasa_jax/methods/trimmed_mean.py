"""Trimmed mean: FedAvg without the extremes of each coordinate."""

from __future__ import annotations

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.allocation.policies import full
from hasa_jax.client.objectives import cross_entropy
from hasa_jax.extraction import prefix
from hasa_jax.methods.method import Method


def trimmed_mean(*, trim: float = 0.2) -> Method:
    """FedAvg that leaves out the largest and smallest values of every coordinate of the updates.

    Of the values `v_1 <= ... <= v_n` of a coordinate, the server takes the mean of all but the
    first and last `floor(trim n)`, without weights.

    Args:
      trim: share of the clients that is left out at each side, in [0, .5).

    Returns:
      The method.

    Raises:
      UserError: if the share is out of its range.

    References:
      Yin et al., arXiv 1803.01498.
    """
    return Method(
        name="trimmed_mean",
        summary="FedAvg without the extremes of each coordinate (arXiv 1803.01498)",
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
        robust="trimmed_mean",
        trim=trim,
    )
