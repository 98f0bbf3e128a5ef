"""A run's first parameters."""

import jax
import pytest

from hasa_jax import keys
from hasa_jax.supernet.initial import initial_params
from tests.support import small


@pytest.mark.parametrize("kind", ["mlp", "lstm", "transformer", "cnn static"])
def test_one_program_initialises_as_step_by_step(kind):
    model, key = small.supernet(kind), jax.random.key(5)
    expected = model.init(keys.address(key, keys.Stream.INIT))
    small.assert_trees_equal(initial_params(model, key), expected)
