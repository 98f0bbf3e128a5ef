"""Scores of clients from their training data; larger means more heterogeneous."""

from collections.abc import Callable

from hasa_jax.allocation.scores.entropy import entropy
from hasa_jax.allocation.scores.excess_divergence import excess_divergence
from hasa_jax.allocation.scores.feature_divergence import feature_divergence
from hasa_jax.allocation.scores.gradient_norm import gradient_norm
from hasa_jax.allocation.scores.label_divergence import label_divergence
from hasa_jax.allocation.scores.rarefied_divergence import rarefied_divergence
from hasa_jax.allocation.scores.score import Score, ScoreFn, message_bytes

SCORES: dict[str, Callable[..., ScoreFn]] = {
    "entropy": entropy,
    "excess_divergence": excess_divergence,
    "feature_divergence": feature_divergence,
    "gradient_norm": gradient_norm,
    "label_divergence": label_divergence,
    "rarefied_divergence": rarefied_divergence,
}

__all__ = [
    "SCORES",
    "Score",
    "ScoreFn",
    "entropy",
    "excess_divergence",
    "feature_divergence",
    "gradient_norm",
    "label_divergence",
    "message_bytes",
    "rarefied_divergence",
]
