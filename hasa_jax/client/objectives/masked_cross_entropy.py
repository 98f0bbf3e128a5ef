"""HeteroFL's masked loss: cross-entropy on the client's own classes."""

from __future__ import annotations

import jax

from hasa_jax.base import ClientMetrics
from hasa_jax.client.objectives.objective import LocalStep, Objective
from hasa_jax.supernet import losses


def masked_cross_entropy() -> Objective:
    """Mean cross-entropy with the logits of absent classes set to 0.

    A class that does not occur in the client's training data has logit 0: it stays in the
    softmax's denominator as `e^0`, and its head row gets no gradient. The client's own subnet
    is evaluated in the same way.

    Returns:
      The objective.

    References:
      HeteroFL, arXiv 2010.01264.
    """

    def loss(step: LocalStep) -> tuple[jax.Array, ClientMetrics]:
        assert step.present is not None
        outputs = losses.deepest(step.forward(kept=step.drawn)[0], step.exits)
        return step.mean(outputs, losses.score_exit, (step.exits, step.present))

    return Objective(loss, own_classes=True, name="masked_cross_entropy")
