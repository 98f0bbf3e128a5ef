"""HeteroFL: nested subnets of the first units."""

from __future__ import annotations

from collections.abc import Sequence

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.client.objectives import masked_cross_entropy
from hasa_jax.extraction import prefix
from hasa_jax.methods.method import Method, uniform_or_levels


def heterofl(
    *,
    budget: float = 0.5,
    levels: Sequence[float] | None = None,
    proportions: Sequence[float] | None = None,
    dynamic: bool = False,
    aggregation: str = "coverage",
    label_split: bool = True,
    supernet_width: float = 1.0,
) -> Method:
    """Every client trains the first units of every group, with a loss on its own classes.

    Of a group of U units a client of width w keeps `idx = {0, ..., ceil(w U) - 1}`. The logits of
    classes that the client does not have are 0 in its loss, activations are divided by w in
    training (the scaler), and norms use the batch in training and calibrated moments in
    evaluation. The server takes the coverage mean
    `theta <- theta + sum_i m_i (theta_i - theta) / sum_i m_i`, `m_i` being 1 where client i holds
    the coordinate.

    Args:
      budget: size-weighted mean width `B` of the clients, which all have the same width.
      levels: widths that clients get instead, without a budget; the paper's a to e are 1, .5,
        .25, .125 and .0625.
      proportions: share of the clients at each level; equal if None.
      dynamic: whether every client's level is drawn in each round, instead of once in blocks.
      aggregation: denominator of the server's mean, one of `server.aggregation.AGGREGATIONS`.
      label_split: whether a client contributes only the label rows of its own classes and tokens.
      supernet_width: width of the global model. The paper's is the largest level in use, and the
        others are fractions of it. Level e without others is `supernet_width=1 / 16, levels=(1,)`:
        a network of its own size, initialised as such, and not a slice of the one of level a.

    Returns:
      The method.

    Raises:
      UserError: if levels and proportions do not fit each other, or the aggregation is unknown.

    References:
      Diao, Ding and Tarokh, ICLR 2021, arXiv 2010.01264.
    """
    return Method(
        name="heterofl",
        summary="the first units, masked loss, static norm, scaler (arXiv 2010.01264)",
        extraction=prefix(levels or ()),
        objective=masked_cross_entropy(),
        policy=uniform_or_levels(levels, proportions, dynamic=dynamic),
        budget=BudgetSpec(budget),
        score=None,
        norm="static",
        scaler="train",
        aggregation=aggregation,
        client_weights="uniform",
        label_split=label_split,
        supernet_width=supernet_width,
    )
