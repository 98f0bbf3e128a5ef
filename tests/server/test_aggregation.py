"""The two sums."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.server.aggregation import all_finite, mean_update, partial_sum
from tests.server.sums import OLD, VECTOR_B, sums


def test_partial_sums_add_up():
    parts = [sums([client], OLD) for client in VECTOR_B]
    both = sums(VECTOR_B, OLD)
    added = jax.tree.map(jnp.add, *parts)
    np.testing.assert_array_equal(added.total, both.total)
    np.testing.assert_array_equal(added.weight, both.weight)
    assert added.mass == both.mass


@pytest.mark.parametrize(
    ("aggregation", "weight"),
    [("coverage", [2, 2, 0]), ("full", [2, 2, 0]), ("nonzero", [2, 0, 0])],
)
def test_a_contribution_by_hand(aggregation, weight):
    update, masks = {"w": jnp.array([3.0, 0.0, 0.0])}, {"w": jnp.array([1.0, 1.0, 0.0])}
    one = partial_sum(update, masks, jnp.float32(2), aggregation)
    np.testing.assert_array_equal(one.total["w"], [6, 0, 0])
    np.testing.assert_array_equal(one.weight["w"], weight)
    assert one.mass == 2


def test_a_client_without_weight_is_inert_whatever_its_update_is():
    one = partial_sum({"w": jnp.array([jnp.nan])}, {"w": jnp.ones(1)}, jnp.float32(0), "coverage")
    assert (one.total["w"][0], one.weight["w"][0], one.mass) == (0, 0, 0)


def test_one_number_decides_whether_all_are_finite():
    assert all_finite({"a": jnp.ones(2), "b": jnp.zeros(())})
    for number in (jnp.nan, jnp.inf):
        assert not all_finite({"a": jnp.ones(2), "b": jnp.array([0, number])})


def test_unknown_aggregation_is_refused():
    with pytest.raises(
        UserError, match="unknown `aggregation` 'median': use one of coverage, full"
    ):
        mean_update(sums(VECTOR_B, OLD), "median")
