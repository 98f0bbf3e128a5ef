"""Cross-entropy at the subnet's last exit, on all classes or on the client's own."""

from __future__ import annotations

import jax

from hasa_jax.base import ClientMetrics
from hasa_jax.supernet import losses
from hasa_jax.supernet.types import LocalStep, Objective


def cross_entropy() -> Objective:
    """Mean cross-entropy over the batch's targets, `-log softmax(z)_y`.

    Returns:
      The objective.
    """

    def loss(step: LocalStep) -> tuple[jax.Array, ClientMetrics]:
        logits = losses.at_exit(step.forward(step.drawn), step.exits)
        sums = losses.score_batch(logits, step.targets, step.valid)
        return losses.mean_loss(sums), sums

    return Objective(loss)


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
        logits = losses.at_exit(step.forward(step.drawn), step.exits)
        logits = losses.hide_classes(logits, step.present)
        sums = losses.score_batch(logits, step.targets, step.valid)
        return losses.mean_loss(sums), sums

    return Objective(loss, own_classes=True)
