"""What sizes cost: the same as in runs."""

import functools

import jax
import numpy as np
import pytest

from experiments.advice import advice, costing
from experiments.advice.costing import size_costs
from experiments.advice.fleet import Fleet
from experiments.advice.shapes import dataset_of_shapes
from experiments.config import RunConfig, with_fields
from hasa_jax.simulation.round import init_state
from hasa_jax.supernet import costs

ONE = Fleet(("client",), np.array([64]))


def program_of(**values):
    config = with_fields(
        RunConfig(), {"hidden_dim": 8, "image_size": 4, "num_classes": 3, **values}
    )
    shapes = dataset_of_shapes(config, ONE.names, ONE.examples)
    program = advice._program(config, shapes, ONE)
    return shapes, program


def test_counts_are_those_of_the_library():
    shapes, program = program_of(model="mlp", method="hasa")
    model, extraction = program.model, program.extraction
    table = size_costs(program, shapes)
    for size in (1, 3, 8):
        shape = extraction.shape(model, size)
        assert table.params[size] == costs.parameter_count(model, dict(shape.kept))
        assert table.bytes_down[size] == costs.bytes_down(model, extraction, shape)
        assert table.bytes_up[size] == costs.bytes_up(model, extraction, shape)
        assert table.width[size] == shape.width
        macs = costs.mac_count(model, dict(shape.kept))
        assert table.macs[size] == table.executed[size] == pytest.approx(macs)
    assert np.all(np.diff(table.memory) > 0)
    # Sent, trained and its gradient, and Adam's two moments, beside activations.
    assert table.memory[8] > 5 * 4 * table.params[8]


@pytest.mark.parametrize("method", ["fiarse", pytest.param("scalefl", marks=pytest.mark.slow)])
def test_bytes_and_parameters_of_other_extractions(method):
    values = {"budget_unit": "params"}
    if method == "scalefl":
        values |= {"exits": 2, "image_size": 8}
    shapes, program = program_of(
        model="cnn" if method == "scalefl" else "mlp", **values, method=method
    )
    model, extraction = program.model, program.extraction
    table = size_costs(program, shapes)
    for size in (1, max(model.groups.values())):
        shape = extraction.shape(model, size)
        assert table.bytes_down[size] == costs.bytes_down(model, extraction, shape)
        assert table.bytes_up[size] == costs.bytes_up(model, extraction, shape)


def test_shapes_of_the_state_are_those_of_a_run():
    _, program = program_of(model="mlp")
    expected = jax.eval_shape(functools.partial(init_state, program), jax.random.key(0))
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), costing._state_shapes(program)) == (
        jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), expected)
    )
