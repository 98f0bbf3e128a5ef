import jax
import numpy as np
import pytest

from experiments.study.block import Block, blocks_of, named_block
from hasa_jax import UserError


def bits(key):
    return jax.random.key_data(key).tolist()


def test_blocks_are_seeds_or_all_of_their_folds():
    assert blocks_of([3, 4], 0) == ((3, 0), (4, 0))
    assert blocks_of(range(2), 3) == ((0, 1), (0, 2), (0, 3), (1, 1), (1, 2), (1, 3))


@pytest.mark.parametrize(("block", "name"), [(Block(12), "12"), (Block(12, 3), "12.3")])
def test_names_are_read_back(block, name):
    assert block.name == name
    assert named_block(name) == block


def test_a_name_of_no_block():
    with pytest.raises(UserError, match=r"'1\.x' is no seed"):
        named_block("1.x")


def test_without_folds_the_key_is_that_of_the_seed():
    assert bits(Block(7).key) == bits(jax.random.key(7))


def test_folds_of_a_seed_have_keys_of_their_own():
    found = np.array([bits(block.key) for block in blocks_of([0, 7], 5)] + [bits(Block(7).key)])
    assert len(np.unique(found, axis=0)) == 11
