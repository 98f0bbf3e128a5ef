"""What an objective is, and what it sees of one local step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Protocol

import jax

from hasa_jax.base import ClientMetrics, FederatedDataset, PyTree
from hasa_jax.supernet.types import Kept


class ForwardFn(Protocol):
    """`(kept) -> (logits of each exit, moments)` of the step's batch at the current parameters.

    `kept` names a smaller subnet that is nested in the client's; None is the client's own.
    """

    def __call__(self, *, kept: Kept | None) -> tuple[tuple[jax.Array, ...], PyTree]:
        """Runs the forward pass."""
        ...


@dataclasses.dataclass(frozen=True)
class LocalStep:
    """What a local objective sees of one step.

    Attributes:
      forward: the client's forward pass on the step's batch.
      targets: `[B]` or `[B, T]`, or those at the wanted positions of texts `[Q]`.
      valid: which examples (or positions) count `[B]` (or `[Q]`), bool.
      drawn: units that ordered dropout drew for this step, None without it.
      exits: exits that the client has, an int or int32 scalar.
      present: which classes occur in the client's training data `[K]`, bool; None unless the
        objective says that it needs them.
      round: communication round, int32 scalar.
    """

    forward: ForwardFn
    targets: jax.Array
    valid: jax.Array
    drawn: Kept | None
    exits: int | jax.Array
    present: jax.Array | None
    round: jax.Array


ObjectiveFn = Callable[[LocalStep], tuple[jax.Array, ClientMetrics]]
"""`step -> (scalar loss, metrics of the batch)`: what a client minimises."""


@dataclasses.dataclass(frozen=True)
class Objective:
    """What a client minimises.

    Attributes:
      loss: of one step.
      own_classes: whether classes absent from a client's training data have logit 0, in
        training and when its own subnet is evaluated.
      all_exits: whether it trains every exit of a subnet.
      teacher: whether it needs a teacher's pass beside each drawn width (FjORD).
      on_texts: what the method's authors minimise on texts, if that is another objective.
      name: its name in `OBJECTIVES`, for records.
    """

    loss: ObjectiveFn
    own_classes: bool = False
    all_exits: bool = False
    teacher: bool = False
    on_texts: Objective | None = None
    name: str = "custom"


def objective_on(objective: Objective, dataset: FederatedDataset) -> Objective:
    """Returns what an objective is on a data set.

    Args:
      objective: of a method.
      dataset: texts or others; only the kind counts.

    Returns:
      `on_texts` if the inputs are texts and there is one, else the objective itself.
    """
    return objective.on_texts if dataset.num_tokens and objective.on_texts else objective
