"""Texts as ids of pieces: found in training texts alone, and the same everywhere."""

import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from hasa_jax.base import UserError
from hasa_jax.datasets.dealt import builder, dealt
from hasa_jax.datasets.partition.deal import deal
from hasa_jax.datasets.pool import Pool
from hasa_jax.datasets.texts import encoded
from tests.support import small

WORDS = ("river", "rivers", "stone", "stones", "cloud", "cloudy", "the", "of", "under", "over")
COUNT = 120


def texts_of(seed):
    generator = np.random.default_rng(seed)
    lengths = generator.integers(1, 12, COUNT)
    return np.array([" ".join(generator.choice(WORDS, length)) for length in lengths], object)


def pool_of(texts, is_test=None):
    rows = np.arange(len(texts))
    is_test = np.zeros(len(texts), bool) if is_test is None else is_test
    groups = np.zeros(len(texts), np.int32)
    return Pool(texts, (rows % 4).astype(np.int32), is_test, tuple("abcd"), groups)


TEXTS = texts_of(0)
ROWS = np.arange(0, COUNT, 2)


def test_rows_are_ids_and_then_padding():
    inputs, num_tokens = encoded(TEXTS, ROWS, 60, 9)
    assert inputs.shape == (COUNT, 9)
    assert inputs.dtype == np.int32
    assert (inputs[:, 0] > 0).all()
    assert (np.diff((inputs == 0).astype(int), axis=1) >= 0).all()
    assert inputs.max() < num_tokens <= 60
    assert (inputs[ROWS] != 1).all()


def test_the_same_words_are_the_same_ids():
    wide = "".join(chr(ord(letter) + 0xFEE0) for letter in "river")
    texts = np.array(["The  RIVER", "the river", f"the {wide}", "the stone", *TEXTS], object)
    inputs, _ = encoded(texts, np.arange(4, len(texts)), 0, 12)
    assert np.array_equal(inputs[0], inputs[1])
    assert np.array_equal(inputs[1], inputs[2])
    assert not np.array_equal(inputs[1], inputs[3])
    # Frequent words are one piece each, whichever way they are written.
    assert (inputs[1:4] > 0).sum(axis=1).tolist() == [2, 2, 2]


def test_other_texts_leave_no_trace():
    spoilt = spoil(TEXTS, np.setdiff1d(np.arange(COUNT), ROWS))
    one, other = (encoded(texts, ROWS, 300, 9) for texts in (TEXTS, spoilt))
    assert np.array_equal(one[0][ROWS], other[0][ROWS])
    assert one[1] == other[1]


def test_what_training_texts_have_not_is_unknown():
    texts = np.array([*TEXTS, "日本", "the 日本 stone", "?!", "", " \n"], object)
    inputs, num_tokens = encoded(texts, np.arange(COUNT), 0, 12)
    new = inputs[COUNT:]
    assert (new[:3] == 1).any(axis=1).all()
    assert new[3:, 0].tolist() == [1, 1]
    assert (new[3:, 1:] == 0).all()
    known = encoded(np.array([*TEXTS, "the"], object), np.arange(COUNT), 0, 12)[0][-1, 0]
    assert new[1, 0] == known
    assert num_tokens == encoded(TEXTS, np.arange(COUNT), 0, 12)[1]


def test_a_text_cannot_spell_out_padding():
    texts = np.array([*TEXTS, "<padding> <unknown> <padding>", "padding under <"], object)
    inputs, _ = encoded(texts, np.arange(len(texts)), 0, 40)
    assert (inputs[COUNT] > 1).sum() > 3
    assert (inputs[COUNT : COUNT + 1, 0] > 1).all()


def test_all_means_until_nothing_occurs_twice():
    most = encoded(TEXTS, ROWS, 0, 9)[1]
    assert encoded(TEXTS, ROWS, 10**12, 9)[1] == most
    assert encoded(TEXTS, ROWS, most - 5, 9)[1] == most - 5
    # Every word occurs often enough to be a piece, with the space before it.
    inputs, _ = encoded(TEXTS, ROWS, 0, 12)
    assert [(row > 0).sum() for row in inputs] == [len(text.split()) for text in TEXTS]


@pytest.mark.parametrize(
    ("vocab_size", "max_length", "told"),
    [(5, 9, "vocab_size is 5: .* at least"), (-1, 9, "vocab_size"), (60, 0, "max_length")],
)
def test_sizes_that_cannot_be(vocab_size, max_length, told):
    with pytest.raises(UserError, match=told):
        encoded(TEXTS, ROWS, vocab_size, max_length)


def digest(seed):
    inputs, num_tokens = encoded(texts_of(seed), ROWS, 50, 9)
    return hashlib.sha256(inputs.tobytes() + bytes([num_tokens])).hexdigest()


@pytest.mark.parametrize("threads", ["1", "5"])
def test_a_fresh_process_with_any_threads_finds_the_same(threads):
    code = "from tests.datasets.test_texts import digest; print(digest(3))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "RAYON_NUM_THREADS": threads, "PYTHONHASHSEED": threads},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.strip() == digest(3)
    assert done.stderr == ""


def test_the_environment_stays_as_it_is():
    before = dict(os.environ)
    digest(4)
    assert dict(os.environ) == before


def spoil(texts, rows):
    spoilt = texts.copy()
    spoilt[rows] = "zeppelin"
    return spoilt


def test_validation_and_test_texts_leave_no_trace():
    is_test = np.arange(COUNT) % 5 == 0
    pool = pool_of(TEXTS, is_test)
    rows = deal(pool, small.KEY, "iid", 3, {"min_examples": 10})
    held = np.concatenate([own[part] for own in rows for part in (1, 2)])
    assert np.flatnonzero(is_test).size < len(held) < COUNT
    one, other = (
        dealt(pool_of(texts, is_test), small.KEY, num_clients=3, vocab_size=60, max_length=9)
        for texts in (TEXTS, spoil(TEXTS, held))
    )
    assert one.train.inputs.shape[1:] == (9,)
    assert 0 < one.num_tokens == other.num_tokens <= 60
    assert np.array_equal(one.train.inputs, other.train.inputs)
    assert not np.array_equal(one.validation.inputs, other.validation.inputs)
    assert not np.array_equal(one.test.inputs, other.test.inputs)


def test_texts_are_not_resized():
    with pytest.raises(UserError, match="resize is 8, but these data are texts"):
        dealt(pool_of(TEXTS), small.KEY, num_clients=3, resize=8)


def test_builders_take_what_their_kind_reads():
    build = builder(lambda: pool_of(TEXTS), texts=True)
    assert build(small.KEY, num_clients=3, max_length=7).train.inputs.shape[1:] == (7,)
    with pytest.raises(TypeError, match="resize"):
        build(small.KEY, num_clients=3, resize=8)
    with pytest.raises(TypeError, match="vocab_size"):
        builder(lambda: pool_of(TEXTS), texts=False)(small.KEY, vocab_size=8)
