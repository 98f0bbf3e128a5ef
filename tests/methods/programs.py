"""Rounds of a method on a small supernet, with every client in them."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

import hasa_jax as hj
from hasa_jax.client.target_chunks import Targets
from hasa_jax.simulation import cohorts
from tests.support import small

KEY = jax.random.key(31)


def train(program, start, data, cohort, count=1):
    """Runs rounds of the same cohort; returns the parameters afterwards."""
    stacked = cohorts.stack([cohort] * count)
    return hj.scan_rounds(program, start, data, stacked)[0].params


def rounds(model, data, sizes, method=None, *, weights=None, count=1, optimizer=None, **training):
    """Runs rounds, with equal weights by default; returns the parameters before and after them."""
    optimizer = optimizer or optax.sgd(0.2)
    program = small.program(model, data, method=method, optimizer=optimizer, **training)
    start = small.initial(program, KEY)
    weights = np.ones(len(sizes)) if weights is None else weights
    cohort = small.cohort(program, data, sizes, weights=weights)
    return start.params, train(program, start, data, cohort, count)


def step_of(forward, target, *, drawn=None, exits=1, present=None, round=0):
    """Makes a local step of one example; `forward(kept)` returns the logits of its exits."""
    return hj.LocalStep(
        lambda *, kept: (forward(kept), {}),
        Targets(jnp.array([target]), jnp.array([True])),
        drawn,
        exits,
        present,
        np.int32(round),
    )
