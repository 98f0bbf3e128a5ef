"""Synthetic titles for next-word prediction; clients differ in the shares of their topics."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets.arguments import fraction
from hasa_jax.datasets.language import check_titles, draw_language, draw_titles
from hasa_jax.datasets.next_word import build

# Names and typical numbers of titles of seven publications of very different size.
_CLIENTS = {
    "city life": 3041,
    "machines": 1461,
    "money": 778,
    "design": 555,
    "writing": 403,
    "selling": 242,
    "self care": 28,
}
_LEAST_TITLES = 10


def synthetic_titles(
    key: jax.Array,
    *,
    num_titles: int = 2000,
    heterogeneity: float = 0.5,
    vocab_size: int = 0,
    min_count: int = 2,
    max_length: int = 16,
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Draws titles for seven clients; see `next_word.build` for the arrays.

    Client i draws the topic of a title with probabilities `(1 - h) / 7 + h 1[topic = i]`.

    Args:
      key: root key of the run; it is not consumed.
      num_titles: titles of all clients, at least 200. The largest client has almost half of them,
        the smallest has ten or 0.4 %.
      heterogeneity: `h` in [0, 1]; 0 gives all clients the same topics, 1 gives each client its own
        topic.
      vocab_size: largest number of words in the vocabulary; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: predictions kept of a title, `T`.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset: inputs and targets `[D, T]` int32.

    Raises:
      UserError: if an argument is out of range.
    """
    if num_titles < 200:
        raise UserError(f"`num_titles` is {num_titles}: seven clients need at least 200")
    fraction(heterogeneity=heterogeneity)
    check_titles(num_titles, len(_CLIENTS), max_length)
    language = draw_language(keys.generator(keys.address(key, keys.Stream.DATA)), len(_CLIENTS))
    titles = {}
    for i, (name, count) in enumerate(_title_counts(num_titles).items()):
        mixture = np.full(len(_CLIENTS), (1 - heterogeneity) / len(_CLIENTS))
        mixture[i] += heterogeneity
        # Client 0 of this stream is the address of the language.
        generator = keys.generator(keys.address(key, keys.Stream.DATA, client=i + 1))
        titles[name], _ = draw_titles(language, mixture, count, generator)
    dataset, _ = build(
        titles,
        key,
        vocab_size=vocab_size,
        min_count=min_count,
        max_length=max_length,
        folds=folds,
        fold=fold,
    )
    return dataset


def _title_counts(num_titles: int) -> dict[str, int]:
    """Returns titles of each client: in proportion, but at least ten; the largest has the rest."""
    total = sum(_CLIENTS.values())
    counts = {
        name: max(_LEAST_TITLES, num_titles * part // total) for name, part in _CLIENTS.items()
    }
    largest = max(_CLIENTS, key=_CLIENTS.__getitem__)
    counts[largest] += num_titles - sum(counts.values())
    return counts
