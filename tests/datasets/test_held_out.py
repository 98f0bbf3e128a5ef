"""Training examples that clients set apart."""

import jax
import numpy as np
import pytest

from hasa_jax.datasets.held_out import hold_out
from tests.support import small

KEY = jax.random.key(4)
SIZES = (4, 5, 40, 1, 19)


@pytest.fixture(scope="module")
def train():
    data = small.client_data(SIZES)
    return data.replace(targets=np.arange(sum(SIZES), dtype=np.int32) % 5)


def test_the_parts_are_disjoint_and_complete(train):
    rest, apart = hold_out(train, 0.1, KEY)
    np.testing.assert_array_equal(apart.num_examples, [0, 1, 4, 0, 1])
    np.testing.assert_array_equal(rest.num_examples + apart.num_examples, SIZES)
    assert rest.offsets.dtype == apart.offsets.dtype == np.int32
    assert rest.num_classes == apart.num_classes == train.num_classes
    for client in range(len(SIZES)):
        own, *parts = (
            data.inputs[slice(*data.offsets[client : client + 2])] for data in (train, rest, apart)
        )
        np.testing.assert_array_equal(
            sorted(map(tuple, np.concatenate(parts))), sorted(map(tuple, own))
        )


def test_one_example_is_left_to_train_on(train):
    rest, _ = hold_out(train, 0.999, KEY)
    np.testing.assert_array_equal(rest.num_examples, [4, 1, 1, 1, 1])


def test_the_draw_is_that_of_the_key_and_the_client(train):
    first, again, other = (
        hold_out(train, 0.3, key)[1].inputs for key in (KEY, KEY, jax.random.key(5))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)
    # The first clients do not depend on those after them.
    fewer = small.client_data(SIZES)
    fewer = fewer.replace(
        inputs=fewer.inputs[:49], targets=fewer.targets[:49], offsets=fewer.offsets[:4]
    )
    apart = hold_out(fewer, 0.3, KEY)[1]
    np.testing.assert_array_equal(apart.inputs, first[: len(apart.inputs)])
