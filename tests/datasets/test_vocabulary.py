import numpy as np

from hasa_jax.datasets.vocabulary import Vocabulary, pad


def test_vocabulary_encodes_and_decodes():
    vocabulary = Vocabulary(("the", "cat"))
    ids = vocabulary.encode(["cat", "the", "dog"])
    np.testing.assert_array_equal(ids, [3, 2, 1])
    assert ids.dtype == np.int32
    assert vocabulary.decode([3, 2, 1, 0]) == ["cat", "the", "<unknown>", "<padding>"]
    assert vocabulary.encode([]).shape == (0,)
    assert vocabulary.num_tokens == 4


def test_pad_cuts_off_or_pads_at_the_end():
    np.testing.assert_array_equal(pad([np.arange(2, 6), np.array([7])], 3), [[2, 3, 4], [7, 0, 0]])
