"""Switches of JAX that ask for 64 bits or for care change nothing in the library."""

import contextlib
import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.numerics import in_32_bits
from tests.support import small


@contextlib.contextmanager
def strict_in_64_bits():
    with jax.enable_x64(True), jax.numpy_dtype_promotion("strict"):
        yield


MODELS = {
    "mlp": hj.models.mlp(hidden=4),
    "cnn": hj.models.cnn(hidden=4),
    "resnet18": hj.models.resnet18(hidden=4),
    "lstm": hj.models.lstm(hidden=4, embed=4),
    "transformer": hj.models.transformer(embed=4, heads=1, head_dim=4, feedforward=4, layers=1),
}


DATA = {
    "mlp": "perceptron",
    "cnn": "cnn",
    "resnet18": "resnet18",
    "lstm": "lstm",
    "transformer": "lstm",
}


def simulated(kind, method, **options):
    return hj.simulate(
        method,
        MODELS[kind],
        small.dataset(kind=DATA[kind]),
        num_rounds=1,
        key=jax.random.key(0),
        training=hj.Training(batch_size=8),
        **options,
    )


def test_the_switches_are_taken_back_for_a_function_only():
    def types():
        return jnp.arange(2).dtype, (jnp.float32(1) * jnp.int32(1)).dtype

    inside = in_32_bits(types)
    assert inside.__name__ == "types"
    with strict_in_64_bits():
        assert inside() == (jnp.int32, jnp.float32)
        assert jnp.arange(2).dtype == jnp.int64
        with pytest.raises(jax.dtypes.TypePromotionError):
            types()
    assert inside() == types()


def test_a_run_is_the_same_to_the_bit():
    """With Adam, whose own steps are not the same."""
    method, adam = hj.methods.hasa(), optax.adam(0.01)
    usual = simulated("mlp", method, client_optimizer=adam)
    with strict_in_64_bits():
        found = simulated("mlp", method, client_optimizer=adam)
        subnet = found.subnet(0)[1]
    for table in ("metrics", "summary"):
        assert found.records[table] == usual.records[table]
    small.assert_trees_equal(found.state.params, usual.state.params)
    small.assert_trees_equal(subnet, usual.subnet(0)[1])
    kinds = {leaf.dtype for leaf in jax.tree.leaves(found.state.params)}
    assert kinds == {np.dtype(np.float32)}


@pytest.mark.parametrize(
    ("kind", "method"),
    [
        pytest.param("cnn", "heterofl", marks=pytest.mark.slow),
        pytest.param("resnet18", "fjord", marks=pytest.mark.slow),
        ("lstm", "fedrolex"),
        ("transformer", "fiarse"),
    ],
)
def test_every_model_runs(kind, method):
    made = hj.METHODS[method]()
    budget = dataclasses.replace(made.budget, unit="params")
    with strict_in_64_bits():
        found = simulated(kind, dataclasses.replace(made, budget=budget))
    assert 0 <= found.records["summary"][-1]["mean_accuracy"] <= 1


@pytest.mark.slow
def test_data_and_a_run_step_by_step_are_the_same_to_the_bit():
    rng = np.random.default_rng(0)
    clients = {name: (rng.normal(size=(40, 4)), rng.integers(3, size=40)) for name in "ab"}

    def ends(key):
        dataset = hj.from_arrays(clients, key)
        method = hj.methods.hasa(score=hj.SCORES["gradient_norm"]())
        algorithm = hj.build(method, MODELS["mlp"], dataset, key=key)
        state = algorithm.init(key)
        state, report = algorithm.round(state, algorithm.sample(state))
        return dataset.train, state.params, report, algorithm.evaluate(state).loss

    usual = ends(jax.random.key(0))
    with strict_in_64_bits():
        found = ends(jax.random.key(0))
    small.assert_trees_equal(found, usual)
