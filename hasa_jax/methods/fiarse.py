"""FIARSE: subnets of the most important single parameters."""

from __future__ import annotations

from collections.abc import Sequence

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.base import UserError
from hasa_jax.client.objectives import cross_entropy
from hasa_jax.extraction import importance, pruning_greedy
from hasa_jax.methods.method import Method, uniform_or_levels


def fiarse(
    *,
    budget: float = 0.5,
    levels: Sequence[float] | None = None,
    threshold: str = "model",
    measure: str = "magnitude",
    gradient: str = "tcb",
    greedy: bool = False,
) -> Method:
    """Every client trains the single parameters of largest magnitude.

    A client computes with `theta M`, `M = 1[|theta| >= tau]`, at every local step, where `tau` is
    the k-th largest `|theta|` of the broadcast, `k = int(gamma D)` of the D parameters that are
    not those of norms. The gradient also holds how M follows `theta`:
    `g M (1 + 2 tau |theta| / (|theta| + tau)^2)` (Eq. 3). The server divides every coordinate by
    the number of clients that moved it. A size is a fraction `gamma` of parameters, not of units.

    Args:
      budget: size-weighted mean fraction `B` of the parameters that a client keeps; all clients
        have the same size.
      levels: fractions `gamma` of the parameters that clients get in equal shares instead, without
        a budget.
      threshold: what shares a `tau`, one of `parameter_groups.THRESHOLDS`.
      measure: what importance means, one of `measures.MEASURES`.
      gradient: `tcb`, the paper's, or `masked`, the plain `g M` that the released code computes.
      greedy: whether M, by magnitude, stays for the round, with plain gradients `g M`: plain
        pruning, the paper's ablation.

    Returns:
      The method; it runs in masked execution only.

    Raises:
      UserError: for an unknown threshold, measure or gradient, or greedy pruning by another
        measure.

    References:
      Wu et al., NeurIPS 2024, arXiv 2407.19389.
    """
    if greedy and measure != "magnitude":
        raise UserError(f"greedy pruning is by magnitude, not by `measure` {measure!r}")
    exact = levels or ()
    return Method(
        name="fiarse",
        summary="single parameters of largest magnitude (arXiv 2407.19389)",
        extraction=(
            pruning_greedy(threshold, exact)
            if greedy
            else importance(threshold, measure, gradient, exact)
        ),
        objective=cross_entropy(),
        policy=uniform_or_levels(levels),
        budget=BudgetSpec(budget, unit="params"),
        score=None,
        norm="batch",
        scaler="none",
        aggregation="nonzero",
        client_weights="uniform",
        label_split=False,
    )
