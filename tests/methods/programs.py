"""Rounds of a method on a small supernet, with every client in them."""

import dataclasses

import jax
import numpy as np
import optax

import hasa_jax as hj
from hasa_jax.execution.layout import place
from hasa_jax.simulation import cohorts
from hasa_jax.simulation.program import make_program
from hasa_jax.simulation.round import init_state, scan_rounds
from tests.support import small

KEY = jax.random.key(31)


def program_of(model, data, method=None, *, optimizer=None, mode="masked", **training):
    """Makes a program on one device; plain FedAvg without a method."""
    names = tuple(f"client {i}" for i in range(data.num_clients))
    return make_program(
        method or hj.methods.fedavg(),
        small.Bound(model),
        hj.FederatedDataset(data, data, data, names),
        client_optimizer=optimizer or optax.sgd(0.2),
        training=hj.Training(**{"batch_size": 4, **training}),
        execution=hj.Execution(mode=mode, devices=1),
    )


def cohort_of(program, data, sizes, weights=None):
    """Places every client at its size, with weight 1 without weights."""
    sizes, count = np.asarray(sizes), len(sizes)
    layout = cohorts.layout_of(
        program,
        sizes_in_run=sizes,
        num_clients=count,
        most_examples=int(data.num_examples.max()),
        trials=1,
    )
    weights = np.ones(count) if weights is None else np.asarray(weights)
    return place(layout, np.arange(count), sizes, weights, data.num_examples)


def permuted(cohort, order):
    """Takes the turns of a cohort on one device in another order."""
    slots, bucket = jax.tree.map(lambda x: x[:, order], (cohort.slots, cohort.bucket))
    return dataclasses.replace(cohort, slots=slots, bucket=bucket)


def train(program, state, data, cohort, count=1):
    """Runs rounds of the same cohort; returns the parameters afterwards."""
    stacked = cohorts.stack([cohort] * count)
    return scan_rounds(program, state, data, stacked)[0].params


def rounds(model, data, sizes, method=None, *, weights=None, count=1, **knobs):
    """Runs rounds of a method; returns the parameters before and after them."""
    program = program_of(model, data, method, **knobs)
    start = init_state(program, KEY)
    cohort = cohort_of(program, data, sizes, weights)
    return start.params, train(program, start, data, cohort, count)


def changed(**fields):
    """Returns FedAvg with some of its fields replaced."""
    return dataclasses.replace(hj.methods.fedavg(), **fields)


def step_of(forward, target, *, drawn=None, exits=1, present=None, round=0):
    """Makes a local step of one example; `forward(kept)` returns the logits of its exits."""
    return hj.LocalStep(
        lambda *, kept: (forward(kept), {}),
        np.array([target]),
        np.array([True]),
        drawn,
        exits,
        present,
        np.int32(round),
    )
