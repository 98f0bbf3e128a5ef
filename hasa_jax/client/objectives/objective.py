"""What an objective is, and what it sees of one local step."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any, Protocol

import jax

from hasa_jax.base import ClientMetrics, FederatedDataset, PyTree
from hasa_jax.client.target_chunks import TargetLoss, Targets, mean_over_targets
from hasa_jax.supernet.types import Kept, Output


class ForwardFn(Protocol):
    """`(kept) -> (output of each exit, moments)` of the step's batch at the current parameters.

    The outputs of texts are linear heads, if the model has them: see `LocalStep.mean`.

    `kept` names a smaller subnet that is nested in the client's; None is the client's own.
    """

    def __call__(self, *, kept: Kept | None) -> tuple[tuple[Any, ...], PyTree]:
        """Runs the forward pass."""
        ...


@dataclasses.dataclass(frozen=True)
class LocalStep:
    """What a local objective sees of one step.

    Attributes:
      forward: the client's forward pass on the step's batch.
      targets: those of the batch.
      drawn: units that ordered dropout drew for this step, None without it.
      exits: exits that the client has, an int or int32 scalar.
      present: which classes occur in the client's training data `[K]`, bool; None unless the
        objective says that it needs them.
      round: communication round, int32 scalar.
    """

    forward: ForwardFn
    targets: Targets
    drawn: Kept | None
    exits: int | jax.Array
    present: jax.Array | None
    round: jax.Array

    def mean(
        self, outputs: tuple[Output, ...], target_loss: TargetLoss, extras: PyTree = ()
    ) -> tuple[jax.Array, ClientMetrics]:
        """Averages a loss over the targets that have one; see `mean_over_targets`.

        Args:
          outputs: of the forward passes that the loss compares.
          target_loss: `(logits [Q, K] of each output, targets [Q], valid [Q], extras) -> (sum,
            metrics)`, of any number of targets.
          extras: arrays that it needs, without a gradient.

        Returns:
          The mean, and the metrics of the batch.
        """
        return mean_over_targets(self.targets, outputs, target_loss, extras)


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
