"""The loop of turns: lanes and devices change speed, never results."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from hasa_jax.execution.loop import run_cohort
from hasa_jax.execution.sharding import EACH, SPREAD, over_mesh
from tests.support import small

EXAMPLES = (7, 30, 12, 3, 9)
SIZES = np.array([12, 5, 5, 5, 12])
DATA = small.client_data(EXAMPLES)


@functools.cache
def trained(mode, client_block, devices):
    """Trains a round; returns parameters and reports by client."""
    program = small.program(
        small.supernet("mlp"),
        DATA,
        mode,
        optimizer=optax.sgd(0.2),
        client_block=client_block,
        mesh=f"clients:{devices}",
    )
    cohort = small.cohort(program, DATA, SIZES)
    _, end, report = small.one_round(program, DATA, cohort)
    return jax.device_get((end.params, small.by_client(cohort, report)))


EVERYDAY = {("masked", 3, 1), ("sliced", 2, 2)}


@pytest.mark.parametrize(
    ("mode", "client_block", "devices"),
    [
        pytest.param(mode, *shape, marks=[] if (mode, *shape) in EVERYDAY else pytest.mark.slow)
        for mode in ("masked", "sliced")
        for shape in ((1, 1), (3, 1), (2, 2))
    ],
)
def test_blocks_and_devices_change_nothing(mode, client_block, devices):
    spread = trained(mode, client_block, devices)
    small.assert_trees_close(spread, trained("masked", 1, 1), atol=1e-5)


@functools.partial(jax.jit, static_argnums=0)
def counted(program, cohort):
    """Runs a client function that only counts."""

    def count(bucket, lane_axis, slot):
        largest = slot.weight if lane_axis is None else jax.lax.pmax(slot.weight, lane_axis)
        size = max(dict(bucket.shape.kept).values())
        taken = (slot.client >= 0).astype(jnp.int32)
        return (taken, slot.weight), (slot.client, jnp.int32(size), largest)

    outputs = over_mesh(
        functools.partial(run_cohort, count),
        cohort.layout.mesh,
        (SPREAD,),
        (EACH, SPREAD),
        jax.tree.map(lambda x: x[None], cohort),
    )
    return jax.tree.map(lambda x: x[0], outputs)


@pytest.mark.parametrize(("lanes", "devices"), [(1, 1), (2, 1), (2, 2)])
def test_every_client_is_summed_once_at_its_bucket(lanes, devices):
    program = small.program(
        small.supernet("mlp"), DATA, "sliced", client_block=lanes, mesh=f"clients:{devices}"
    )
    cohort = small.cohort(program, DATA, SIZES)
    (count, weight), outputs = counted(program, cohort)
    assert (int(count), float(weight)) == (len(SIZES), sum(EXAMPLES))
    clients, sizes, largest = small.by_client(cohort, outputs)
    np.testing.assert_array_equal(clients, np.arange(5))
    np.testing.assert_array_equal(sizes, SIZES)
    # The clients of a bucket with the most batches come first: 1 and 2, then 3; 4 and 0.
    alike = [9, 30, 30, 3, 9] if lanes == 2 else EXAMPLES
    np.testing.assert_array_equal(largest, alike)
