"""What a method is."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from hasa_jax.allocation.budget import BudgetSpec
from hasa_jax.allocation.policies import levels as levels_policy
from hasa_jax.allocation.policies import uniform
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.scores.score import ScoreFn
from hasa_jax.base import UserError
from hasa_jax.client.objectives.objective import Objective
from hasa_jax.models.layers import NORMS, SCALERS
from hasa_jax.server.aggregation import AGGREGATIONS
from hasa_jax.server.robust import ROBUST
from hasa_jax.supernet.types import Extraction

CLIENT_WEIGHTS = ("examples", "uniform")
"""A client's weight in the server's mean: its number of training examples, or 1."""

_CHOICES = {
    "norm": NORMS,
    "scaler": SCALERS,
    "aggregation": AGGREGATIONS,
    "client_weights": CLIENT_WEIGHTS,
    "robust": ROBUST,
}


@dataclasses.dataclass(frozen=True)
class Method:
    """A method of model-heterogeneous federated learning: everything that defines it.

    A published method comes from its factory in `METHODS`. `dataclasses.replace` makes another
    method of it, such as `dataclasses.replace(hasa(), aggregation="full")`.

    Attributes:
      name: its name in `METHODS`.
      summary: the method in one line, with its reference.
      extraction: which part of the supernet a client of some size holds.
      objective: what clients minimise.
      policy: which client gets which width.
      budget: the size-weighted mean cost that a budgeted policy meets.
      score: heterogeneity score of the clients, for a scored policy; None without one, or where
        the user has the scores.
      norm: norm of models that have a choice, one of `models.layers.NORMS`.
      scaler: when activations are divided by the width, one of `models.layers.SCALERS`.
      aggregation: denominator of the server's mean, one of `server.aggregation.AGGREGATIONS`.
      client_weights: weights of the server's mean, one of `CLIENT_WEIGHTS`.
      label_split: whether a client contributes only the label rows of its own classes and tokens.
      robust: what replaces the server's mean, one of `server.robust.ROBUST`.
      trim: share of the clients that `trimmed_mean` cuts off at each side, in [0, .5).
      supernet_width: share of the model's units that the supernet has, in (0, 1]. A group of U
        units has `ceil(U supernet_width)`, initialised as a network of that size. All sizes and
        costs are fractions of this supernet.
      proximal: FedProx's `mu` (arXiv 1812.06127): clients also minimise
        `mu / 2 ||theta - theta_broadcast||^2`.

    Raises:
      UserError: for a name or number that is out of its range, and for parts that do not fit each
        other.
    """

    name: str
    summary: str
    extraction: Extraction
    objective: Objective
    policy: Policy
    budget: BudgetSpec
    score: ScoreFn | None
    norm: str
    scaler: str
    aggregation: str
    client_weights: str
    label_split: bool
    robust: str = "none"
    trim: float = 0.2
    proximal: float = 0.0
    supernet_width: float = 1.0

    def __post_init__(self) -> None:
        for field, known in _CHOICES.items():
            value = getattr(self, field)
            if value not in known:
                raise UserError(f"unknown `{field}` {value!r}: use one of {', '.join(known)}")
        if not 0 <= self.trim < 0.5:
            raise UserError(
                f"`trim` is {self.trim}: it is a share of each side, from 0 to below .5"
            )
        if not 0 <= self.proximal < float("inf"):
            raise UserError(f"`proximal` is {self.proximal}: it must be finite, and not negative")
        if not 0 < self.supernet_width <= 1:
            raise UserError(f"`supernet_width` is {self.supernet_width}: it must be in (0, 1]")
        if self.extraction.all_exits != self.objective.all_exits:
            raise UserError(
                "subnets that differ in depth train all their exits: `extraction` depth_width "
                "needs `objective` multi_exit, and the other way round"
            )
        if self.extraction.teacher != self.objective.teacher:
            raise UserError(
                "self-distillation needs a drawn width and a teacher: `extraction` ordered_dropout "
                "with a teacher needs `objective` self_distillation, and the other way round"
            )


def uniform_or_levels(
    levels: Sequence[float] | None,
    proportions: Sequence[float] | None = None,
    *,
    dynamic: bool = False,
) -> Policy:
    """Returns the policy of methods whose papers leave the allocation open.

    Args:
      levels: published sizes, without a budget; if None, `uniform` under the budget.
      proportions: share of the clients at each level; equal if None.
      dynamic: whether the levels are drawn in every round.

    Returns:
      The policy.

    Raises:
      UserError: for options of levels without levels.
    """
    if levels is not None:
        return levels_policy(levels, proportions, dynamic=dynamic)
    if proportions is not None or dynamic:
        raise UserError("proportions and draws are those of levels: give `levels`, too")
    return uniform()


def describe(method: Method) -> str:
    """Returns a method's summary and its named choices in one line, for help texts."""
    named = {
        "policy": method.policy.name,
        "extraction": method.extraction.name,
        "objective": method.objective.name,
        **{field: getattr(method, field) for field in _CHOICES},
        "label_split": method.label_split,
    }
    return f"{method.summary}: {', '.join(f'{name}={value}' for name, value in named.items())}"
