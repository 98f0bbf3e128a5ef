"""Trials, cohorts and parameters on the devices of a mesh."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import NamedSharding, PartitionSpec

import hasa_jax as hj
from hasa_jax.execution import sharding
from hasa_jax.execution.mesh import MeshShape, mesh_of
from hasa_jax.simulation.round import init_state
from tests.support import small


@pytest.mark.parametrize(
    ("shape", "trials"),
    [
        *((MeshShape(clients=devices), trials) for devices in (1, 2) for trials in (1, 2, 3)),
        *((MeshShape(seeds=2), trials) for trials in (2, 4)),
    ],
)
def test_trials_on_a_mesh_are_trials_one_by_one(shape, trials):
    def function(x, y):
        doubled = jax.lax.cond(x.sum() > 3, lambda: 2 * x, lambda: x)
        return {"sum": doubled + y, "largest": jnp.max(doubled)}

    x = np.arange(2 * trials, dtype=np.float32).reshape(trials, 2)
    y = np.ones(trials, np.float32)[:, None].repeat(2, axis=1)

    def mapped(*stacked):
        each = sharding.EACH
        return sharding.over_mesh(function, shape, (each, each), each, *stacked)

    found = jax.jit(mapped)(x, y)
    for trial in range(trials):
        expected = function(x[trial], y[trial])
        np.testing.assert_array_equal(found["sum"][trial], expected["sum"])
        np.testing.assert_array_equal(found["largest"][trial], expected["largest"])


@pytest.mark.parametrize(
    ("shape", "places", "copies"),
    [(MeshShape(), 1, True), (MeshShape(clients=2), 2, True), (MeshShape(seeds=2), 2, False)],
)
def test_states_are_where_programs_leave_them(shape, places, copies):
    where = NamedSharding(mesh_of(shape), sharding.EACH)
    placed = sharding.put({"x": np.ones((2, 3))}, where)["x"]
    assert len(placed.sharding.device_set) == places
    assert placed.sharding.is_fully_replicated == copies


def test_keys_and_numbers_come_back_from_a_mesh():
    where = NamedSharding(mesh_of(MeshShape(clients=2)), sharding.EACH)
    tree = {"key": jax.random.split(jax.random.key(3), 2), "x": jnp.arange(4.0).reshape(2, 2)}
    placed = sharding.put(tree, where)
    np.testing.assert_array_equal(*map(jax.random.key_data, (placed["key"], tree["key"])))
    np.testing.assert_array_equal(sharding.on_host(placed)["x"], tree["x"])


def test_each_device_gets_the_blocks_that_are_made_for_it():
    made = []

    def block(e, p):
        made.append((e, p))
        return np.full(3, 10 * e + p)

    placed = sharding.place_blocks((2, 2, 3), MeshShape(clients=2), block)
    np.testing.assert_array_equal(placed[:, :, 0], [[0, 1], [10, 11]])
    assert sorted(set(made)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert {shard.data.shape for shard in placed.addressable_shards} == {(2, 1, 3)}


def states_of(model, optimizer):
    """Returns the shapes of two trials' states."""
    program = small.program(model, small.client_data((3, 4)), server_optimizer=optimizer)
    one = jax.eval_shape(lambda: init_state(program, jax.random.key(0)))
    return jax.tree.map(lambda x: jax.ShapeDtypeStruct((2, *x.shape), x.dtype), one)


def test_parameters_are_shared_by_the_longest_axis_that_has_a_name():
    model, optimizer = small.supernet("mlp"), optax.adam(0.1)
    shape = MeshShape(model=2)
    states = states_of(model, optimizer)
    places = sharding.state_shardings(model, optimizer, states, shape)
    shared = 0
    leaves = zip(jax.tree.leaves(states.params), jax.tree.leaves(places.params), strict=True)
    for leaf, place in leaves:
        part = place.shard_shape(leaf.shape)
        shared += np.prod(part) * 2 == leaf.size
        assert np.prod(part) in (leaf.size, leaf.size // 2)
    assert shared >= 3
    # Moments of Adam are where their parameters are; its count is everywhere.
    adam = places.opt_state[0]
    assert jax.tree.leaves(adam.mu) == jax.tree.leaves(places.params)
    assert adam.count.spec == places.round.spec == PartitionSpec("seeds")


def test_without_devices_along_the_model_nothing_is_shared():
    model, optimizer = small.supernet("mlp"), optax.sgd(1.0)
    states = states_of(model, optimizer)
    places = sharding.state_shardings(model, optimizer, states, MeshShape(clients=2))
    assert all(place.is_fully_replicated for place in jax.tree.leaves(places))


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["masked", "sliced"])
def test_a_model_on_two_devices_is_the_model_on_one(mode):
    dataset = small.dataset((7, 30, 12, 3))
    found = []
    for mesh in ("clients:1", "model:2"):
        program = small.program(small.supernet("mlp"), dataset.train, mode, mesh=mesh)
        history = hj.run_trials(program, [small.trial(program, dataset)], num_rounds=3)[0]
        found.append(history)
    small.assert_trees_close(found[0].state.params, found[1].state.params, atol=1e-5)
