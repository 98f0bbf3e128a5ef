"""Data sets of TensorFlow Federated, such as StackOverflow: every user is a client."""

from __future__ import annotations

import collections
import functools
import os
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.examples import Examples
from hasa_jax.datasets.files.tff_hdf5 import tff_hdf5
from hasa_jax.datasets.leaf import encode_numbers, with_classes
from hasa_jax.datasets.next_word import next_words
from hasa_jax.datasets.paths import path_of
from hasa_jax.datasets.splits import least_examples
from hasa_jax.datasets.users import Encoding, from_users
from hasa_jax.datasets.vocabulary import Vocabulary, vocabulary_of


def tff(
    key: jax.Array,
    *,
    data_dir: str | os.PathLike[str],
    min_examples: int = 10,
    max_clients: int = 0,
    vocab_size: int = 10000,
    max_length: int = 20,
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Reads HDF5 files of TensorFlow Federated, whose users are the clients.

    `stackoverflow_train.h5` and `stackoverflow_test.h5` are next words of the texts `tokens`, which
    are split at spaces; texts of one word are left out. `fed_emnist_train.h5` and others of pixels
    and a label are images.

    Args:
      key: root key of the run; it is not consumed.
      data_dir: folder of one file `NAME_train.h5`, and maybe of `NAME_test.h5`.
      min_examples: users with fewer examples, beside those for testing, are left out with a note.
      max_clients: users to use, drawn at random, of which only they are read; 0 for all.
      vocab_size: largest number of words in the vocabulary; 0 means no limit.
      max_length: predictions kept of a text, `T`.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
        Data with a test file have no folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset; clients are in the order of their names. Texts are as in `next_word.build`.
      Images are float32 `[D, height, width, channels]`, with mean 0 and deviation 1 in each channel
      over all training images, and their targets int32 `[D]`.

    Raises:
      UserError: if a file is missing or damaged, or if there are too few users or examples.
    """
    at_least(0, max_clients=max_clients, vocab_size=vocab_size)
    at_least(1, min_examples=min_examples, max_length=max_length)
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    found = tff_hdf5(
        path_of(data_dir),
        max(min_examples, least_examples(folds)),
        lambda names: map(str, generator.permutation(names)),
        max_clients,
    )
    train, test, short = found.train, found.test, 0
    if found.texts:
        train, short = _of_two_words(train)
        if test is not None:
            test, others = _of_two_words(test)
            short += others
    else:
        train, test = with_classes(train, test)
    words = functools.partial(_words, vocab_size, max_length)
    notes = found.notes
    if short:
        notes += (f"{short} texts of fewer than two words were left out",)
    return from_users(
        train,
        test,
        words if found.texts else encode_numbers,
        key,
        min_examples=min_examples,
        max_clients=0,
        folds=folds,
        fold=fold,
        notes=notes,
    )


def _of_two_words(
    users: Mapping[str, Sequence[Examples]],
) -> tuple[dict[str, list[Examples]], int]:
    """Leaves out texts that have no next word, and counts them."""
    found, left_out = {}, 0
    for user, parts in users.items():
        kept = []
        for part in parts:
            enough = np.array([len(text.split(None, 1)) > 1 for text in part.inputs], bool)
            left_out += int((~enough).sum())
            kept.append(Examples(part.inputs[enough], part.targets[enough]))
        found[user] = kept
    return found, left_out


def _words(
    vocab_size: int, max_length: int, inputs: np.ndarray, targets: np.ndarray, train: np.ndarray
) -> Encoding:
    """Encodes texts by the words of training texts."""
    del targets
    counts = collections.Counter(word for text in inputs[train] for word in text.split())
    vocabulary = vocabulary_of(counts, vocab_size, 1)
    encode = functools.partial(_ids_of, vocabulary, max_length)
    return Encoding(encode, len(vocabulary.words), vocabulary.num_tokens)


def _ids_of(
    vocabulary: Vocabulary, max_length: int, inputs: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Returns ids of texts `[n, T]`, and the class of the next word at each position."""
    del targets
    return next_words([vocabulary.encode(text.split()) for text in inputs], max_length)
