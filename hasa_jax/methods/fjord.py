"""FjORD: ordered dropout."""

from __future__ import annotations

from collections.abc import Sequence

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.client.objectives import OBJECTIVES
from hasa_jax.extraction import ordered_dropout
from hasa_jax.methods.method import Method, uniform_or_levels


def fjord(
    *,
    budget: float = 0.5,
    levels: Sequence[float] | None = None,
    dropout_levels: Sequence[float] = (0.2, 0.4, 0.6, 0.8, 1.0),
    self_distillation: bool = False,
) -> Method:
    """Every client holds the first units, and trains a random prefix of them in each step.

    A step of a client of width `p_max` draws `p ~ Uniform({p in P: p < p_max} + {p_max})` and
    trains the first units of every group up to width p. With self-distillation it minimises
    `CE(z_max, y) + CE(z_p, softmax(z_max))`. The server takes the coverage mean, weighted by
    examples.

    Args:
      budget: size-weighted mean width `B` of the clients, which all have the same `p_max`.
      levels: values of `p_max` that clients get in equal shares instead, without a budget.
      dropout_levels: the widths `P`, rising within (0, 1].
      self_distillation: whether the client's full subnet teaches the drawn one.

    Returns:
      The method.

    Raises:
      UserError: if the widths do not rise within (0, 1].

    References:
      Horvath et al., NeurIPS 2021, arXiv 2102.13451.
    """
    return Method(
        name="fjord",
        summary="ordered dropout: a width drawn for each batch (arXiv 2102.13451)",
        extraction=ordered_dropout(dropout_levels, self_distillation, levels or ()),
        objective=OBJECTIVES["self_distillation" if self_distillation else "cross_entropy"](),
        policy=uniform_or_levels(levels),
        budget=BudgetSpec(budget),
        score=None,
        norm="static",
        scaler="none",
        aggregation="coverage",
        client_weights="examples",
        label_split=False,
    )
