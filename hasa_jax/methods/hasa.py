"""HASA: width follows the heterogeneity of the client's data."""

from __future__ import annotations

from hasa_jax.allocation import policies
from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.allocation.scores import label_divergence
from hasa_jax.allocation.scores.score import ScoreFn
from hasa_jax.client.objectives import cross_entropy
from hasa_jax.extraction import prefix
from hasa_jax.methods.method import Method


def hasa(
    *,
    budget: float = 0.5,
    score: ScoreFn | None = None,
    inverse: bool = False,
    projection: str = "paper",
    w_min: float = 0.2,
    w_max: float = 0.8,
) -> Method:
    """Heterogeneity-aware subnet allocation: the more unusual the data, the wider the subnet.

    The clients' scores `h_i` (Eq. 11) give ranks `r_i = (rank(h_i) - 1) / (N - 1)` (Eq. 13), the
    ranks give widths `w_i = w_min + (w_max - w_min) r_i` (Eq. 14), and these are scaled to the
    budget `sum_i q_i w_i = B` with `q_i = n_i / sum_j n_j` by two passes (Eqs. 16 and 17). Clients
    then train the first units of every group. The server takes the mean over all clients, weighted
    by examples; coordinates that a client does not hold count as unchanged.

    Args:
      budget: size-weighted mean width `B` of the clients.
      score: heterogeneity of the clients; `label_divergence()`, the paper's, if None.
      inverse: whether widths fall with the rank instead: the ablation of the direction.
      projection: one of `budget.PROJECTIONS`; the paper's two passes can miss the budget, `exact`
        meets it.
      w_min: narrowest width of a client.
      w_max: widest width of a client.

    Returns:
      The method. The paper's other aggregation, which it compares baselines with, is the coverage
      mean: `dataclasses.replace(hasa(), aggregation="coverage")`.

    Raises:
      UserError: if the budget, the projection or the bounds are out of their range.

    References:
      HASA, arXiv 2606.07621.
    """
    return Method(
        name="hasa",
        summary="width follows the heterogeneity of the client's data (arXiv 2606.07621)",
        extraction=prefix(),
        objective=cross_entropy(),
        policy=policies.inverse_hasa() if inverse else policies.hasa(),
        budget=BudgetSpec(budget, projection=projection, w_min=w_min, w_max=w_max),
        score=score or label_divergence(),
        norm="static",
        scaler="none",
        aggregation="full",
        client_weights="examples",
        label_split=False,
    )
