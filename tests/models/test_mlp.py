"""The perceptron."""

import pytest

from hasa_jax.base import UserError
from hasa_jax.models import mlp
from hasa_jax.supernet import costs
from tests.support import small


def bind(norm="none", **fields):
    return mlp(**fields).bind(small.dataset(kind="perceptron"), norm=norm, scaler="none")


def test_it_flattens_numbers_of_any_shape():
    model = bind()
    assert model.input_shape == (2, 3)
    assert model.groups == {"hidden/0": 64}
    assert costs.parameter_count(model, model.groups) == 6 * 64 + 64 + 64 * 5 + 5


def test_every_layer_is_a_group():
    assert bind(hidden=7, layers=3).groups == {"hidden/0": 7, "hidden/1": 7, "hidden/2": 7}


def test_exits_are_spread_over_the_layers():
    model = bind(hidden=4, layers=5, exits=2)
    depths = [model.depths[f"dense_{layer}"]["kernel"] for layer in range(1, 6)]
    assert depths == [1, 1, 2, 2, 2]


def test_the_norm_is_the_methods():
    assert bind().moments == {}
    assert set(bind(norm="static").moments) == {"norm_1"}


def test_places_of_exits_are_checked():
    with pytest.raises(UserError, match="exits=2 but exit_blocks"):
        small.perceptron(exits=2)
