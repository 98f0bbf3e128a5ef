"""Texts as ids of pieces: the pieces depend only on training texts."""

import jax
import numpy as np
import pytest

from hasa_jax import UserError
from hasa_jax.datasets.partition.assign import assign
from hasa_jax.datasets.partitioned import partitioned
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.texts import encoded

KEY = jax.random.key(0)
WORDS = ("river", "rivers", "stone", "stones", "cloud", "cloudy", "the", "of", "under", "over")
COUNT = 120


def texts_of(seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 12, COUNT)
    return np.array([" ".join(generator.choice(WORDS, length)) for length in lengths], object)


def pool_of(texts, is_test=None):
    is_test = np.zeros(len(texts), bool) if is_test is None else is_test
    targets = (np.arange(len(texts)) % 4).astype(np.int32)
    return Pool(texts, targets, is_test, tuple("abcd"), np.zeros(len(texts), np.int32))


def replaced(texts, indices):
    """The texts, with other words in some of them."""
    others = texts.copy()
    others[indices] = "zeppelin"
    return others


TEXTS = texts_of(0)
TRAIN = np.arange(0, COUNT, 2)


def test_texts_are_ids_and_then_padding():
    inputs, num_tokens = encoded(TEXTS, TRAIN, 60, 9)
    assert inputs.shape == (COUNT, 9)
    assert inputs.dtype == np.int32
    assert (inputs[:, 0] > 0).all()
    assert (np.diff((inputs == 0).astype(int), axis=1) >= 0).all()
    assert inputs.max() < num_tokens <= 60
    assert (inputs[TRAIN] != 1).all()


def test_equal_words_have_equal_ids():
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "river")
    texts = np.array(["The  RIVER", "the river", f"the {wide}", "the stone", *TEXTS], object)
    inputs, _ = encoded(texts, np.arange(4, len(texts)), 0, 12)
    assert np.array_equal(inputs[0], inputs[1])
    assert np.array_equal(inputs[1], inputs[2])
    assert not np.array_equal(inputs[1], inputs[3])
    # Frequent words are one piece each, in any spelling.
    assert (inputs[1:4] > 0).sum(axis=1).tolist() == [2, 2, 2]


def test_only_training_texts_count():
    others = replaced(TEXTS, np.setdiff1d(np.arange(COUNT), TRAIN))
    one, other = (encoded(texts, TRAIN, 300, 9) for texts in (TEXTS, others))
    assert np.array_equal(one[0][TRAIN], other[0][TRAIN])
    assert one[1] == other[1]


def test_bytes_of_no_training_text_are_unknown():
    texts = np.array([*TEXTS, "日本", "the 日本 stone", "?!", "", " \n"], object)
    inputs, num_tokens = encoded(texts, np.arange(COUNT), 0, 12)
    new = inputs[COUNT:]
    assert (new[:3] == 1).any(axis=1).all()
    assert new[3:, 0].tolist() == [1, 1]
    assert (new[3:, 1:] == 0).all()
    known = encoded(np.array([*TEXTS, "the"], object), np.arange(COUNT), 0, 12)[0][-1, 0]
    assert new[1, 0] == known
    assert num_tokens == encoded(TEXTS, np.arange(COUNT), 0, 12)[1]


def test_the_text_padding_is_not_padding():
    texts = np.array([*TEXTS, "<padding> <unknown> <padding>", "padding under <"], object)
    inputs, _ = encoded(texts, np.arange(len(texts)), 0, 40)
    assert (inputs[COUNT] > 1).sum() > 3
    assert (inputs[COUNT : COUNT + 1, 0] > 1).all()


def test_without_a_limit_pairs_are_joined_until_none_occurs_twice():
    most = encoded(TEXTS, TRAIN, 0, 9)[1]
    assert encoded(TEXTS, TRAIN, 10**12, 9)[1] == most
    assert encoded(TEXTS, TRAIN, most - 5, 9)[1] == most - 5
    # Every word occurs often enough to be a piece, with the space before it.
    inputs, _ = encoded(TEXTS, TRAIN, 0, 12)
    assert [(ids > 0).sum() for ids in inputs] == [len(text.split()) for text in TEXTS]


@pytest.mark.parametrize(
    ("vocab_size", "max_length", "expected"),
    [
        (5, 9, "`vocab_size` is 5: .* at least .* raise `vocab_size`"),
        (-1, 9, "`vocab_size` is -1"),
        (60, 0, "`max_length` is 0"),
    ],
)
def test_wrong_sizes_are_refused(vocab_size, max_length, expected):
    with pytest.raises(UserError, match=expected):
        encoded(TEXTS, TRAIN, vocab_size, max_length)


def test_validation_and_test_texts_do_not_count():
    is_test = np.arange(COUNT) % 5 == 0
    assigned = assign(pool_of(TEXTS, is_test), KEY, "iid", 3, {"min_examples": 10})
    unseen = np.concatenate(assigned.indices[1:])
    assert np.flatnonzero(is_test).size < len(unseen) < COUNT
    one, other = (
        partitioned(pool_of(texts, is_test), KEY, num_clients=3, vocab_size=60, max_length=9)
        for texts in (TEXTS, replaced(TEXTS, unseen))
    )
    assert one.train.inputs.shape[1:] == (9,)
    assert 0 < one.num_tokens == other.num_tokens <= 60
    assert np.array_equal(one.train.inputs, other.train.inputs)
    assert not np.array_equal(one.validation.inputs, other.validation.inputs)
    assert not np.array_equal(one.test.inputs, other.test.inputs)


def test_texts_cannot_be_resized():
    with pytest.raises(UserError, match="`resize` is 8, but these data are texts"):
        partitioned(pool_of(TEXTS), KEY, num_clients=3, resize=8)
