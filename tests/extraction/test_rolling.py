"""The window that moves on every round."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.extraction import prefix, rolling
from tests.support import small
from tests.support.broadcasts import KEY, ranks_of, sent


def test_the_window_of_the_paper():
    model = small.mlp(first=8, second=8)
    ranks = ranks_of(rolling(), sent(model, round=6))["first"]
    assert np.argsort(ranks)[:4].tolist() == [6, 7, 0, 1]
    small.assert_trees_equal(ranks_of(rolling(), sent(model)), ranks_of(prefix(), sent(model)))


@pytest.mark.parametrize("step", [1, 3])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_it_keeps_every_unit_as_often(step, size):
    model = small.mlp(first=8)
    params = model.init(KEY)

    def window(round):
        return ranks_of(rolling(step), sent(model, params, round=round))["first"] < size

    windows = jax.jit(jax.vmap(window))(jnp.arange(5, 13))
    np.testing.assert_array_equal(np.asarray(windows).sum(axis=0), size)


def test_it_starts_where_it_should_late_in_a_run():
    last = 2**31 - 1
    ranks = ranks_of(rolling(7919), sent(small.mlp(), round=last))["first"]
    assert int(np.argmin(ranks)) == last * 7919 % 12


@pytest.mark.parametrize("step", [0, -1, 1.5, None])
def test_steps_that_are_no_positive_integer_are_refused(step):
    with pytest.raises(UserError, match=f"rolling moves by `step`={step!r}"):
        rolling(step)
