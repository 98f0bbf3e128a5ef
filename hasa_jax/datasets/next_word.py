"""Next-word prediction: from text to a federated dataset of token ids."""

from __future__ import annotations

import collections
import dataclasses
import functools
import html
import re
from collections.abc import Iterable, Mapping, Sequence

import jax
import numpy as np

from hasa_jax.base import IGNORED, UNKNOWN, FederatedDataset, UserError
from hasa_jax.datasets.splits import Split, assemble, split_clients

FIRST_WORD_ID = 2
"""Input id of the most frequent word; words follow by falling frequency."""

# An input id is the class of the word plus two, for the two special targets as well.
UNKNOWN_ID = UNKNOWN + FIRST_WORD_ID
"""Input id of every out-of-vocabulary word: 1."""

PADDING_ID = IGNORED + FIRST_WORD_ID
"""Input id after the last word of a text: 0."""

# A letter must follow the bracket, so that "a < b" stays; quoted values may hold a ">".
_TAG = re.compile(r"""</?[a-zA-Z](?:[^<>"']|"[^"]*"|'[^']*')*>""")
_BLOCK_TAG = re.compile(r"</?(?:br|div|h[1-6]|li|p|td|tr)\b[^<>]*>", re.IGNORECASE)
# Unicode spaces (U+00A0 among them), zero-width characters and the byte order mark.
_SPACES = re.compile(r"[\s\u180e\u200b-\u200f\u2060\ufeff]+")
_APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'"})
_WORD = re.compile(r"[a-z0-9']+")


def clean(text: str) -> str:
    """Turns text with web markup into plain text with single spaces.

    Args:
      text: may hold HTML tags and entities, Unicode spaces and typographic apostrophes.

    Returns:
      The same words without tags and with plain spaces and apostrophes.
    """
    # Tags go first: an escaped "&lt;em&gt;" is text about a tag, not a tag.
    text = _TAG.sub("", _BLOCK_TAG.sub(" ", text))
    text = html.unescape(text).translate(_APOSTROPHES)
    return _SPACES.sub(" ", text).strip()


def tokenize(text: str) -> list[str]:
    """Splits text into lower-case words of `[a-z0-9']`.

    Args:
      text: any text; it is cleaned first.

    Returns:
      The words. Apostrophes stay inside a word ("don't") and go at its ends, where they quote.
    """
    words = (word.strip("'") for word in _WORD.findall(clean(text).lower()))
    return [word for word in words if word]


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The known words, most frequent first.

    Attributes:
      words: `K` words; class k and input id `k + 2` are `words[k]`.
    """

    words: tuple[str, ...]

    @functools.cached_property
    def _ids(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words, FIRST_WORD_ID)}

    def encode(self, words: Iterable[str]) -> np.ndarray:
        """Returns the input ids of words `[n]`, int32; unknown words become `UNKNOWN_ID`."""
        return np.array([self._ids.get(word, UNKNOWN_ID) for word in words], np.int32)

    def decode(self, ids: Iterable[int]) -> list[str]:
        """Returns the words of input ids `[n]`, with `<padding>` and `<unknown>` as they are."""
        names = ("<padding>", "<unknown>", *self.words)
        return [names[i] for i in ids]


def build(
    titles: Mapping[str, Sequence[Sequence[str]]],
    key: jax.Array,
    *,
    vocab_size: int,
    min_count: int,
    max_length: int,
) -> tuple[FederatedDataset, Vocabulary]:
    """Builds a next-word dataset; a title of n words is one example of n - 1 predictions.

    Inputs `[D, T]` int32 are the words but the last, targets `[D, T]` int32 the words but the
    first as classes; `T = max_length`. Out-of-vocabulary targets are `UNKNOWN`, positions after
    the title are `IGNORED`. Nothing but training titles shapes the vocabulary.

    Args:
      titles: words of each client's titles, at least two a title, by client name.
      key: root key of the run; it is not consumed.
      vocab_size: most words in the vocabulary, the frequent ones first; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: predictions kept of a title; the words after them are cut off.

    Returns:
      The dataset, with client order that of `titles`, and its vocabulary.

    Raises:
      UserError: for arguments out of range, too few clients or titles, no word left.
    """
    for name, value, least in (
        ("vocab_size", vocab_size, 0),
        ("min_count", min_count, 1),
        ("max_length", max_length, 1),
    ):
        if value < least:
            raise UserError(f"{name} is {value}: it must be at least {least}")
    counts = {name: len(texts) for name, texts in titles.items()}
    splits = split_clients(counts, key, "titles of two or more words")
    vocabulary = _vocabulary(titles, splits, vocab_size, min_count)
    encoded = {
        name: _examples([vocabulary.encode(text) for text in texts], max_length)
        for name, texts in titles.items()
    }
    return assemble(encoded, splits, len(vocabulary.words)), vocabulary


def _vocabulary(
    titles: Mapping[str, Sequence[Sequence[str]]],
    splits: Sequence[Split],
    vocab_size: int,
    min_count: int,
) -> Vocabulary:
    """Returns the frequent words of all training titles."""
    counts = collections.Counter(
        word
        for texts, (train, _, _) in zip(titles.values(), splits, strict=True)
        for row in train
        for word in texts[int(row)]
    )
    # Ties are broken by the alphabet: the order of clients and titles must not matter.
    ranked = sorted(counts, key=lambda word: (-counts[word], word))
    words = [word for word in ranked if counts[word] >= min_count]
    if not words:
        raise UserError(
            f"no word occurs {min_count} times in the training titles: lower --min_count"
        )
    return Vocabulary(tuple(words[: vocab_size or None]))


def _examples(encoded: Sequence[np.ndarray], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs `[n, T]` and targets `[n, T]` of titles of input ids."""
    ids = np.full((len(encoded), max_length + 1), PADDING_ID, np.int32)
    for row, title in zip(ids, encoded, strict=True):
        kept = title[: max_length + 1]
        row[: len(kept)] = kept
    inputs, next_ids = ids[:, :-1].copy(), ids[:, 1:]
    # The last kept word predicts nothing, so it is no input either.
    inputs[next_ids == PADDING_ID] = PADDING_ID
    # Words, out-of-vocabulary words and padding all become targets by this one subtraction.
    return inputs, next_ids - FIRST_WORD_ID
