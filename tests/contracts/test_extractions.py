"""What every ranking of units promises."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax import units
from tests import small

KEY = jax.random.key(4)


@pytest.mark.parametrize("name", sorted(hj.EXTRACTIONS))
@pytest.mark.parametrize("round", [0, 7])
def test_ranks_are_permutations_and_repeatable(name, round):
    model = small.mlp()
    order = hj.EXTRACTIONS[name]()
    params = model.init(KEY)
    ranks, again = (order(params, model.groups, jnp.int32(round), KEY) for _ in range(2))
    for group, size in model.groups.items():
        np.testing.assert_array_equal(np.sort(ranks[group]), np.arange(size))
        np.testing.assert_array_equal(ranks[group], again[group])


@pytest.mark.parametrize("name", sorted(hj.EXTRACTIONS))
def test_counts_nesting_and_full_width(name):
    model = small.mlp()
    ranks = hj.EXTRACTIONS[name]()(model.init(KEY), model.groups, jnp.int32(0), KEY)
    previous = None
    for kept in range(1, 13):
        sizes = units.sizes_of_units(model.groups, kept)
        masks = units.masks(model.shapes, model.axes, ranks, sizes)
        assert masks["Dense_0"]["bias"].sum() == sizes["first"]
        assert masks["Dense_1"]["kernel"].sum() == sizes["first"] * sizes["second"]
        if previous is not None:
            jax.tree.map(lambda a, b: np.testing.assert_array_less(a, b + 0.5), previous, masks)
        previous = masks
    assert all(np.all(mask == 1) for mask in jax.tree.leaves(previous))


@pytest.mark.parametrize("execution", sorted(hj.EXECUTIONS))
@pytest.mark.parametrize("name", sorted(hj.EXTRACTIONS))
def test_every_execution_agrees_with_masked(name, execution):
    model, data = small.lstm(), small.client_data(kind="lstm")
    cohort = small.cohort(model, data, [16, 4, 9, 7])
    states = [
        jax.jit(algorithm.round)(algorithm.init(KEY), data, cohort)[0].params
        for algorithm in (
            hj.partial_training(
                model,
                execution=hj.EXECUTIONS[kind],
                order=hj.EXTRACTIONS[name](),
                client_optimizer=optax.adam(0.01),
                batch_size=4,
            )
            for kind in ("masked", execution)
        )
    ]
    small.assert_trees_close(*states, atol=1e-5)
