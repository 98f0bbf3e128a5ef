"""What clients minimise."""

from hasa_jax.client.objectives.cross_entropy import cross_entropy
from hasa_jax.client.objectives.masked_cross_entropy import masked_cross_entropy
from hasa_jax.client.objectives.multi_exit import multi_exit
from hasa_jax.client.objectives.objective import LocalStep, Objective
from hasa_jax.client.objectives.self_distillation import self_distillation

OBJECTIVES = {
    "cross_entropy": cross_entropy,
    "masked_cross_entropy": masked_cross_entropy,
    "multi_exit": multi_exit,
    "self_distillation": self_distillation,
}

__all__ = [
    "OBJECTIVES",
    "LocalStep",
    "Objective",
    "cross_entropy",
    "masked_cross_entropy",
    "multi_exit",
    "self_distillation",
]
