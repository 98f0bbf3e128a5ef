"""Next-word prediction: from texts to a federated dataset of token ids."""

from __future__ import annotations

import functools
import html
import re
import unicodedata
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.splits import assemble, split_clients
from hasa_jax.datasets.vocabulary import (
    FIRST_WORD_ID,
    PADDING_ID,
    Vocabulary,
    build_vocabulary,
    pad,
)

# A letter must follow the bracket: "a < b" is not a tag. Quoted values may contain a ">".
_TAG = re.compile(r"""</?[a-zA-Z](?:[^<>"']|"[^"]*"|'[^']*')*>""")
_BLOCK_TAG = re.compile(r"</?(?:br|div|h[1-6]|li|p|td|tr)\b[^<>]*>", re.IGNORECASE)
# Unicode spaces (U+00A0 among them), zero-width characters and the byte order mark.
_SPACES = re.compile(r"[\s\u180e\u200b-\u200f\u2060\ufeff]+")
_APOSTROPHES = str.maketrans({"\u2018": "'", "\u2019": "'"})
WORDS = ("unicode", "english")
"""Rules for words: of any language, or of the letters a to z and digits only."""

_ENGLISH = re.compile(r"[a-z0-9']+")
# Written without spaces between words: Chinese, Japanese, Thai, Lao, Burmese, Khmer, Tibetan.
_UNSPACED = (
    "\u0e01-\u0e30\u0e32-\u0e33\u0e40-\u0e46\u0e81-\u0eb0\u0eb2-\u0eb3\u0ebd-\u0ec6\u0edc-\u0edf"
    "\u0f40-\u0f6c\u0f88-\u0f8c\u1000-\u102a\u103f\u1050-\u1055\u1780-\u17b3\u3005-\u3007"
    "\u3021-\u3029\u3031-\u3035\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff66-\uff9d\U00020000-\U0003ffff"
)


def clean(text: str) -> str:
    """Converts text with web markup to plain text with single spaces.

    Args:
      text: may contain HTML tags and entities, Unicode spaces and typographic apostrophes.

    Returns:
      The same words without tags, with plain spaces and apostrophes.
    """
    # Tags are removed first: an escaped "&lt;em&gt;" is text about a tag, not a tag.
    text = _TAG.sub("", _BLOCK_TAG.sub(" ", text))
    text = html.unescape(text).translate(_APOSTROPHES)
    return _SPACES.sub(" ", text).strip()


def tokenize(text: str, words: str = "unicode") -> list[str]:
    """Splits text into lower-case words.

    A word of rule `unicode` consists of letters, digits and combining marks of any script, in
    Unicode's NFC form. In scripts without spaces between words, such as Chinese, each letter with
    its marks is a word. A word of rule `english` consists of `[a-z0-9']`. The rules agree on texts
    of these letters, other punctuation and symbols.

    Args:
      text: any text; `clean` is applied first.
      words: the rule, one of `WORDS`.

    Returns:
      The words. Apostrophes inside a word stay ("don't"); those at its ends are removed.

    Raises:
      UserError: if there is no such rule.
    """
    if words not in WORDS:
        raise UserError(f"`words` is {words!r}: use one of {', '.join(WORDS)}")
    plain = clean(text).lower()
    if words == "unicode" and not plain.isascii():
        # Lower case may separate a letter from its marks, as in the Turkish capital I with a dot.
        found = _unicode_words().findall(unicodedata.normalize("NFC", plain))
    else:
        found = _ENGLISH.findall(plain)
    stripped = (word.strip("'") for word in found)
    return [word for word in stripped if word]


@functools.cache
def _unicode_words() -> re.Pattern[str]:
    """Returns the expression of a word of any language."""
    marks, others = _characters(("Mn", "Mc")), _characters(("No",))
    letter = rf"[^\W_{others}{_UNSPACED}]"
    # A mark without a letter is no word: emojis have such marks.
    return re.compile(rf"[{_UNSPACED}][{marks}]*|(?:{letter}|')(?:{letter}|['{marks}])*")


def _characters(categories: tuple[str, ...]) -> str:
    """Returns the characters of Unicode categories, for a set of a regular expression."""
    # Variation selectors are marks of emojis. There are no marks of letters above these blocks.
    codes = (code for code in range(0x80, 0x1F000) if not 0xFE00 <= code < 0xFE10)
    return "".join(chr(code) for code in codes if unicodedata.category(chr(code)) in categories)


def build(
    titles: Mapping[str, Sequence[Sequence[str]]],
    key: jax.Array,
    *,
    vocab_size: int,
    min_count: int,
    max_length: int,
    folds: int = 0,
    fold: int = 0,
) -> tuple[FederatedDataset, Vocabulary]:
    """Builds a next-word dataset; a title of n words is one example of n - 1 predictions.

    Inputs `[D, T]` int32 are ids of all words except the last. Targets `[D, T]` int32 are classes
    of all words except the first. `T` is `max_length`. Out-of-vocabulary targets are `UNKNOWN`,
    positions after the title are `IGNORED`. The vocabulary depends only on training titles.

    Args:
      titles: words of each client's titles, at least two per title, by client name.
      key: root key of the run; it is not consumed.
      vocab_size: largest number of words in the vocabulary, frequent words first; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: predictions kept of a title, `T`; the words after them are cut off.
      folds: see `splits.marks_of`.
      fold: see `splits.marks_of`.

    Returns:
      The dataset, in the client order of `titles`, and its vocabulary.

    Raises:
      UserError: if an argument is out of range, if there are too few clients or titles, or if the
        vocabulary is empty.
    """
    at_least(1, max_length=max_length)
    counts = {name: len(texts) for name, texts in titles.items()}
    check_memory(8 * sum(counts.values()) * max_length, f"`max_length` is {max_length}")
    splits = split_clients(counts, key, "titles of two or more words", folds, fold)
    vocabulary = build_vocabulary(titles, splits, vocab_size, min_count)
    encoded = {
        name: next_words([vocabulary.encode(text) for text in texts], max_length)
        for name, texts in titles.items()
    }
    dataset = assemble(encoded, splits, len(vocabulary.words), vocabulary.num_tokens)
    return dataset, vocabulary


def next_words(encoded: Sequence[np.ndarray], max_length: int) -> tuple[np.ndarray, np.ndarray]:
    """Makes examples of texts: each word but the first is the target of the one before it.

    Args:
      encoded: input ids of each text.
      max_length: predictions kept of a text, `T`.

    Returns:
      Inputs `[n, T]` and targets `[n, T]`, int32.
    """
    ids = pad(encoded, max_length + 1)
    inputs, next_ids = ids[:, :-1].copy(), ids[:, 1:]
    # Nothing follows the last kept word, so it is not an input.
    inputs[next_ids == PADDING_ID] = PADDING_ID
    # The subtraction is right for words, out-of-vocabulary words and padding.
    return inputs, next_ids - FIRST_WORD_ID
