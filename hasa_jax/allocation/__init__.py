"""Allocation: which client trains at which size."""

from hasa_jax.allocation.allocation import Allocation, allocate
from hasa_jax.allocation.budget import Budget, BudgetSpec
from hasa_jax.allocation.ledger import Ledger
from hasa_jax.allocation.policies import POLICIES
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.scores import SCORES, ScoreFn
from hasa_jax.allocation.stats import ClientStats, Measured

__all__ = [
    "POLICIES",
    "SCORES",
    "Allocation",
    "Budget",
    "BudgetSpec",
    "ClientStats",
    "Ledger",
    "Measured",
    "Policy",
    "ScoreFn",
    "allocate",
]
