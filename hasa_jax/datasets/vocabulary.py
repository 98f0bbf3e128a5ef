"""Input ids of words: the vocabulary, and ids padded to one length."""

from __future__ import annotations

import collections
import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from hasa_jax.base import IGNORED, UNKNOWN, UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.splits import Split

FIRST_WORD_ID = 2
"""Input id of the most frequent word; words follow by descending frequency."""

# An input id is the class of the word plus two; this includes the two special targets.
UNKNOWN_ID = UNKNOWN + FIRST_WORD_ID
"""Input id of every out-of-vocabulary word: 1."""

PADDING_ID = IGNORED + FIRST_WORD_ID
"""Input id after the last word of a text: 0."""


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The words of a vocabulary, most frequent first.

    Attributes:
      words: `K` words; `words[k]` has class `k` and input id `k + 2`.
    """

    words: tuple[str, ...]

    @property
    def num_tokens(self) -> int:
        """Number of input ids: words, padding and out-of-vocabulary."""
        return len(self.words) + FIRST_WORD_ID

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, FIRST_WORD_ID)}

    def encode(self, words: Iterable[str]) -> np.ndarray:
        """Returns the input ids of words `[n]`, int32; unknown words become `UNKNOWN_ID`."""
        return np.array([self._ids.get(word, UNKNOWN_ID) for word in words], np.int32)

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Returns the words of input ids `[n]`, `<padding>` and `<unknown>` for the special ids."""
        names = ("<padding>", "<unknown>", *self.words)
        return [names[i] for i in ids]


def build_vocabulary(
    titles: Mapping[str, Sequence[Sequence[str]]],
    splits: Sequence[Split],
    vocab_size: int,
    min_count: int,
) -> Vocabulary:
    """Returns the frequent words of all training titles.

    Args:
      titles: words of each client's titles, by client name.
      splits: indices of each client's titles, in the same order; only training titles count.
      vocab_size: largest number of words in the vocabulary, frequent words first; 0 means no limit.
      min_count: occurrences that a word needs to be in the vocabulary.

    Returns:
      The vocabulary; words of equal frequency are in alphabetical order.

    Raises:
      UserError: if an argument is out of range, or if the vocabulary is empty.
    """
    counts = collections.Counter(
        word
        for texts, (train, _, _) in zip(titles.values(), splits, strict=True)
        for index in train
        for word in texts[int(index)]
    )
    return vocabulary_of(counts, vocab_size, min_count)


def vocabulary_of(counts: Mapping[str, int], vocab_size: int, min_count: int) -> Vocabulary:
    """Returns the frequent words.

    Args:
      counts: how often each word occurs in training texts.
      vocab_size: largest number of words in the vocabulary, frequent words first; 0 means no limit.
      min_count: occurrences that a word needs to be in the vocabulary.

    Returns:
      The vocabulary; words of equal frequency are in alphabetical order.

    Raises:
      UserError: if an argument is out of range, or if the vocabulary is empty.
    """
    at_least(0, vocab_size=vocab_size)
    at_least(1, min_count=min_count)
    # Ties are in alphabetical order: the order of clients and titles must not matter.
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    words = [word for word in ranked if counts[word] >= min_count]
    if not words:
        raise UserError(
            f"no word occurs {min_count} times in the training titles: lower `min_count`"
        )
    return Vocabulary(tuple(words[: vocab_size or None]))


def pad(texts: Sequence[np.ndarray], max_length: int) -> np.ndarray:
    """Cuts off texts, or pads them at the end, to one length.

    Args:
      texts: input ids of each text.
      max_length: length of the result.

    Returns:
      Input ids `[n, max_length]`, int32.
    """
    ids = np.full((len(texts), max_length), PADDING_ID, np.int32)
    for padded, text in zip(ids, texts, strict=True):
        kept = text[:max_length]
        padded[: len(kept)] = kept
    return ids
