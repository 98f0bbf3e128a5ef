"""Topics of titles in an invented language: the text classification that needs no file."""

from __future__ import annotations

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import FederatedDataset
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.language import invent, write
from hasa_jax.datasets.skew import client_sizes, label_mixtures
from hasa_jax.datasets.splits import assemble, split_clients
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
) -> FederatedDataset:
    """Invents titles whose topic is to be told, for clients that mix the topics differently.

    Topics share the frequent words and overlap in the others, but each has its own habits of
    which word follows which. Input ids are 0 for padding, 1 for out-of-vocabulary words, and
    words from 2 by falling frequency; only training titles shape the vocabulary.

    Args:
      key: root key of the run; it is not consumed.
      num_titles: titles of all clients together, at least ten a client. Above that,
        client i gets `1 / (i + 1)` parts.
      num_topics: number of topics `K`, at least 2.
      num_clients: number of clients `N`, at least 2.
      heterogeneity: `h` in [0, 1]; 0 gives all clients all topics alike, 1 each a single
        topic; see `skew.label_mixtures`.
      vocab_size: most words in the vocabulary; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: words kept of a title, `T`; shorter ones are padded.

    Returns:
      The dataset: inputs `[D, T]` int32, targets `[D]`.

    Raises:
      UserError: for arguments out of range, or if no word is left for the vocabulary.

    References:
      The Dirichlet label skew is that of `skew.label_mixtures`.
    """
    at_least(2, num_topics=num_topics)
    at_least(1, max_length=max_length)
    sizes = client_sizes(num_clients, num_titles=num_titles)
    # The language comes first, so that it is the same for any clients.
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    language = invent(generator, num_topics)
    mixtures = label_mixtures(num_clients, num_topics, heterogeneity, generator)
    titles, topics = {}, {}
    for i, (size, mixture) in enumerate(zip(sizes, mixtures, strict=True)):
        # Client 0 of this stream's address is what all clients share.
        generator = keys.generator(keys.address(key, keys.Stream.DATA, client=i + 1))
        name = f"client_{i}"
        titles[name], topics[name] = write(language, mixture, size, generator)
    splits = split_clients({name: len(texts) for name, texts in titles.items()}, key, "titles")
    vocabulary = build_vocabulary(titles, splits, vocab_size, min_count)
    clients = {
        name: (
            pad([vocabulary.encode(title) for title in texts], max_length),
            topics[name].astype(np.int32),
        )
        for name, texts in titles.items()
    }
    return assemble(clients, splits, num_topics, vocabulary.num_tokens)
