"""Clients and budgets that the tests of allocation share."""

import jax
import numpy as np

from hasa_jax.allocation import Budget, BudgetSpec, ClientStats

KEY = jax.random.key(0)


def stats_of(num_examples, scores=None, caps=0.8):
    num_examples = np.asarray(num_examples)
    scores = np.arange(len(num_examples)) if scores is None else np.asarray(scores)
    return ClientStats(num_examples, scores, np.broadcast_to(caps, num_examples.shape))


def random_stats(rng):
    """Seven clients, as in test vector J."""
    return stats_of(rng.integers(1, 1000, size=7), rng.random(7))


def budget_of(target=0.5, projection="exact", units=256, power=1, **spec) -> Budget:
    costs = (np.arange(units + 1) / units) ** power
    return BudgetSpec(target, projection=projection, **spec).bind(costs)
