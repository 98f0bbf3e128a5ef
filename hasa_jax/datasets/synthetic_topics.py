"""Synthetic titles with topics: a text classification dataset that needs no file."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.language import check_titles, draw_language, draw_titles
from hasa_jax.datasets.skew import client_sizes, label_mixtures
from hasa_jax.datasets.splits import assemble, generators_of_clients, split_clients
from hasa_jax.datasets.vocabulary import build_vocabulary, pad


def synthetic_topics(
    key: jax.Array,
    *,
    num_titles: int = 2000,
    num_topics: int = 7,
    num_clients: int = 10,
    heterogeneity: float = 0.5,
    vocab_size: int = 0,
    min_count: int = 2,
    max_length: int = 16,
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Draws titles to classify by topic; clients see the topics unequally often.

    Topics share the frequent words and some of the other words. Each topic has its own likely next
    words. Input ids are 0 for padding, 1 for out-of-vocabulary words, and from 2 for words by
    descending frequency. The vocabulary depends only on training titles.

    Args:
      key: root key of the run; it is not consumed.
      num_titles: titles of all clients, at least ten per client. Client i gets a share of the
        rest in proportion to `1 / (i + 1)`.
      num_topics: number of topics `K`, at least 2.
      num_clients: number of clients `N`, at least 2.
      heterogeneity: `h` in [0, 1]; 0 gives all clients all topics equally often, 1 gives each
        client a single topic; see `skew.label_mixtures`.
      vocab_size: largest number of words in the vocabulary; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: words kept of a title, `T`; shorter titles are padded.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset: inputs `[D, T]` int32, targets `[D]`.

    Raises:
      UserError: if an argument is out of range, or if the vocabulary is empty.

    References:
      The Dirichlet label skew is that of `skew.label_mixtures`.
    """
    at_least(2, num_topics=num_topics)
    at_least(1, max_length=max_length)
    check_titles(num_titles, num_topics, max_length)
    sizes = client_sizes(num_clients, num_titles=num_titles)
    # The language is drawn first: it is the same for any number of clients.
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    language = draw_language(generator, num_topics)
    mixtures = label_mixtures(num_clients, num_topics, heterogeneity, generator)
    titles, topics = {}, {}
    # Client 0 of this stream is the address of what all clients share.
    generators = generators_of_clients(key, num_clients, keys.Stream.DATA, first=1)
    for i, (size, mixture, generator) in enumerate(zip(sizes, mixtures, generators, strict=True)):
        name = f"client_{i}"
        titles[name], topics[name] = draw_titles(language, mixture, size, generator)
    counts = {name: len(texts) for name, texts in titles.items()}
    splits = split_clients(counts, key, "titles", folds, fold)
    vocabulary = build_vocabulary(titles, splits, vocab_size, min_count)
    clients = {
        name: (
            pad([vocabulary.encode(title) for title in texts], max_length),
            topics[name].astype(np.int32),
        )
        for name, texts in titles.items()
    }
    return assemble(clients, splits, num_topics, vocabulary.num_tokens)
