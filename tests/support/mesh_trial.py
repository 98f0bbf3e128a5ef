"""Some rounds on a mesh: what `mesh_runs` compares."""

import dataclasses

import jax
import numpy as np
import optax

import hasa_jax as hj
from hasa_jax.execution.sharding import on_host
from hasa_jax.simulation.program import make_program
from hasa_jax.simulation.round import init_state
from tests.support import small

ROUNDS, RATE = 5, 0.005
RESNET_RATE = 0.001
"""A rectifier that rounding switches changes a gradient at once, and a step by as much as this."""


def parameters(kind: str, mode: str, mesh: str) -> np.ndarray:
    """Trains clients of many sizes for some rounds; returns a vector: the bytes of a device's
    parameters, the most that one moved, and all of them."""
    dataset = small.dataset((7, 30, 12, 3, 9, 22, 5, 8), kind)
    model = small.Bound(small.supernet(kind)) if kind in small.SUPERNETS else _resnet()
    method = small.plain()
    if kind not in small.SUPERNETS:
        dataset, method = _with_large_images(dataset), hj.methods.heterofl()
    program = make_program(
        method,
        model,
        dataset,
        client_optimizer=optax.sgd(RATE if kind in small.SUPERNETS else RESNET_RATE),
        training=hj.Training(batch_size=8),
        execution=hj.Execution(mode, mesh=mesh),
    )
    program = dataclasses.replace(program, bucket_share=0.0)
    # At a quarter, norms of these small models are over two values, so they are about signs, and
    # rounding grows twentyfold in a round.
    policy = hj.POLICIES["levels"](levels=[1.0, 0.5])
    trial = small.trial(program, dataset, policy=policy)
    reporting = hj.Reporting(eval_every=ROUNDS)
    (history,) = hj.run_trials(program, [trial], num_rounds=ROUNDS, reporting=reporting)
    leaves = jax.tree.leaves(on_host(history.state.params))
    first = jax.tree.leaves(init_state(program, trial.key).params)
    moved = max(abs(new - old).max() for new, old in zip(leaves, first, strict=True))
    own = sum(x.addressable_shards[0].data.nbytes for x in jax.tree.leaves(history.state.params))
    return np.concatenate([[own, moved], *(np.ravel(leaf) for leaf in leaves)])


def _resnet():
    """Returns a narrow ResNet-18."""
    return hj.models.resnet18(hidden=4)


def _with_large_images(dataset):
    """Gives a data set images of 32 x 32, so that no norm is over a handful of values."""

    def larger(split):
        shape = (len(split.targets), 32, 32, 3)
        images = np.random.default_rng(0).normal(size=shape).astype(np.float32)
        return dataclasses.replace(split, inputs=images)

    splits = {name: larger(getattr(dataset, name)) for name in ("train", "validation", "test")}
    return dataclasses.replace(dataset, **splits)
