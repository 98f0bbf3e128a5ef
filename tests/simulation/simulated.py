"""One run of three rounds that several tests look at."""

import functools

import jax
import optax

import hasa_jax as hj
from tests.support import small

KEY = jax.random.key(5)
DATASET = small.dataset((7, 30, 12, 3), "perceptron")
MODEL = hj.models.mlp(hidden=6)
OPTIONS = {
    "client_optimizer": optax.sgd(0.1),
    "training": hj.Training(batch_size=8, clients_per_round=3),
    "execution": hj.Execution("masked", mesh="clients:1"),
    "num_rounds": 3,
    "key": KEY,
}


@functools.cache
def result():
    """Runs HASA for three rounds, each evaluated."""
    return hj.simulate(
        hj.methods.hasa(), MODEL, DATASET, reporting=hj.Reporting(eval_every=1), **OPTIONS
    )
