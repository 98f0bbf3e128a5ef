"""Cross-entropy at the subnet's last exit."""

from __future__ import annotations

import jax

from hasa_jax.base import ClientMetrics
from hasa_jax.client.objectives.objective import LocalStep, Objective
from hasa_jax.supernet import losses


def cross_entropy() -> Objective:
    """Mean cross-entropy over the batch's targets, `-log softmax(z)_y`.

    Returns:
      The objective.
    """

    def loss(step: LocalStep) -> tuple[jax.Array, ClientMetrics]:
        outputs = losses.deepest(step.forward(kept=step.drawn)[0], step.exits)
        return step.mean(outputs, losses.score_exit, (step.exits, None))

    return Objective(loss, name="cross_entropy")
