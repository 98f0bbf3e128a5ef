"""Next-word prediction: from text to a federated dataset of token ids."""

from __future__ import annotations

import html
import re
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.splits import assemble, split_clients
from hasa_jax.datasets.vocabulary import (
    FIRST_WORD_ID,
    PADDING_ID,
    Vocabulary,
    build_vocabulary,
    pad,
)

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
    at_least(1, max_length=max_length)
    counts = {name: len(texts) for name, texts in titles.items()}
    splits = split_clients(counts, key, "titles of two or more words")
    vocabulary = build_vocabulary(titles, splits, vocab_size, min_count)
    encoded = {
        name: _examples([vocabulary.encode(text) for text in texts], max_length)
        for name, texts in titles.items()
    }
    dataset = assemble(encoded, splits, len(vocabulary.words), vocabulary.num_tokens)
    return dataset, vocabulary


def _examples(encoded: Sequence[np.ndarray], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns inputs `[n, T]` and targets `[n, T]` of titles of input ids."""
    ids = pad(encoded, max_length + 1)
    inputs, next_ids = ids[:, :-1].copy(), ids[:, 1:]
    # The last kept word predicts nothing, so it is no input either.
    inputs[next_ids == PADDING_ID] = PADDING_ID
    # Words, out-of-vocabulary words and padding all become targets by this one subtraction.
    return inputs, next_ids - FIRST_WORD_ID
