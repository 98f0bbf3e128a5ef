"""FedAvg: every client trains the supernet."""

from __future__ import annotations

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.allocation.policies import full
from hasa_jax.client.objectives import cross_entropy
from hasa_jax.extraction import prefix
from hasa_jax.methods.method import Method


def fedavg() -> Method:
    """Federated averaging: nothing is cut, and a client weighs as much as it has examples.

    `theta <- sum_i n_i theta_i / sum_i n_i`, `theta_i` being what client i makes of `theta` by
    local training. It follows no budget, so it is the reference that subnets are compared with.

    Returns:
      The method.

    References:
      McMahan et al., arXiv 1602.05629.
    """
    return Method(
        name="fedavg",
        summary="all clients train the supernet at full size (arXiv 1602.05629)",
        extraction=prefix(),
        objective=cross_entropy(),
        policy=full(),
        budget=BudgetSpec(),
        score=None,
        norm="static",
        scaler="none",
        aggregation="coverage",
        client_weights="examples",
        label_split=False,
    )
