"""Titles in an invented language: the dataset that needs no file.

Words follow one another by topic: every topic gives every word its own few successors, over a
shared vocabulary. What comes next can be learned, the same word calls for different successors
in different topics, and clients differ by how they mix the topics.
"""

from __future__ import annotations

import dataclasses
import itertools

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets.next_word import build

# How many titles seven publications of very different size may have.
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
_NUM_WORDS = 240
_SHARED_WORDS = 40  # The most frequent words; every topic uses them, in its own way.
_TOPIC_WORDS = (30, 90)  # Further words of the narrowest and the broadest topic.
_SUCCESSOR_PROBS = np.array([0.6, 0.2, 0.1])  # Otherwise any word of the topic follows.
_LENGTHS = (3, 22)


@dataclasses.dataclass(frozen=True)
class _Language:
    """A shared vocabulary and the topics that use it.

    Attributes:
      words: `V` spellings, the frequent words first.
      cumulative: cumulative word distribution of each topic, `[topics, V]`.
      successors: likely next words of each word in each topic, `[topics, V, 3]`.
    """

    words: np.ndarray
    cumulative: np.ndarray
    successors: np.ndarray


def synthetic_titles(
    key: jax.Array,
    *,
    num_titles: int = 2000,
    heterogeneity: float = 0.5,
    vocab_size: int = 0,
    min_count: int = 2,
    max_length: int = 16,
) -> FederatedDataset:
    """Invents titles for seven clients; see `next_word.build` for the arrays.

    Client i draws the topic of a title from `(1 - h) / 7 + h 1[topic = i]`.

    Args:
      key: root key of the run; it is not consumed.
      num_titles: titles of all clients together, at least 200. The largest client has almost
        half of them, the smallest ten or 0.4 %.
      heterogeneity: `h` in [0, 1]; 0 gives all clients one distribution, 1 each its own topic.
      vocab_size: most words in the vocabulary; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: predictions kept of a title, `T`.

    Returns:
      The dataset: inputs and targets `[D, T]`.

    Raises:
      UserError: for arguments out of range.
    """
    if num_titles < 200:
        raise UserError(f"num_titles is {num_titles}: seven clients need at least 200")
    if not 0 <= heterogeneity <= 1:
        raise UserError(f"heterogeneity is {heterogeneity}: it must be between 0 and 1")
    language = _language(keys.generator(keys.address(key, keys.Stream.DATA)))
    titles = {}
    for i, (name, count) in enumerate(_title_counts(num_titles).items()):
        mixture = np.full(len(_CLIENTS), (1 - heterogeneity) / len(_CLIENTS))
        mixture[i] += heterogeneity
        # Client 0 of this stream's address is the language.
        generator = keys.generator(keys.address(key, keys.Stream.DATA, client=i + 1))
        titles[name] = _write(language, mixture, count, generator)
    dataset, _ = build(
        titles, key, vocab_size=vocab_size, min_count=min_count, max_length=max_length
    )
    return dataset


def _title_counts(num_titles: int) -> dict[str, int]:
    """Returns titles of each client: in proportion, but ten at least; the largest gives way."""
    whole = sum(_CLIENTS.values())
    counts = {
        name: max(_LEAST_TITLES, num_titles * part // whole) for name, part in _CLIENTS.items()
    }
    largest = max(_CLIENTS, key=_CLIENTS.__getitem__)
    counts[largest] += num_titles - sum(counts.values())
    return counts


def _language(generator: np.random.Generator) -> _Language:
    """Invents words, what each topic uses them for, and what follows them there."""
    num_topics = len(_CLIENTS)
    frequency = 1 / (np.arange(_NUM_WORDS) + 20.0)  # Zipf's law with a flattened top.
    used = np.zeros((num_topics, _NUM_WORDS), bool)
    used[:, :_SHARED_WORDS] = True
    # Topics of different breadth give clients label distributions of different entropy.
    breadths = np.linspace(*_TOPIC_WORDS, num_topics).astype(int)
    for row, breadth in zip(used, generator.permutation(breadths), strict=True):
        own = generator.choice(_NUM_WORDS - _SHARED_WORDS, breadth, replace=False)
        row[_SHARED_WORDS + own] = True
    probs = frequency * used
    probs /= probs.sum(-1, keepdims=True)
    # The largest log p + Gumbel noise are draws from p without replacement.
    shape = (num_topics, _NUM_WORDS, _NUM_WORDS)
    with np.errstate(divide="ignore"):
        perturbed = np.log(probs)[:, None] + generator.gumbel(size=shape)
    successors = np.argsort(-perturbed, axis=-1)[..., : len(_SUCCESSOR_PROBS)]
    cumulative = probs.cumsum(-1)
    cumulative /= cumulative[:, -1:]  # Words after the topic's last one get exactly nothing.
    return _Language(_spellings(generator), cumulative, successors)


def _spellings(generator: np.random.Generator) -> np.ndarray:
    """Returns pronounceable words `[V]`, the frequent ones short."""
    syllables = [a + b for a, b in itertools.product("lmnrstv", "aeiou")]
    short = generator.permutation(syllables)
    long = generator.permutation([a + b for a, b in itertools.product(syllables, repeat=2)])
    return np.concatenate([short, long])[:_NUM_WORDS]


def _write(
    language: _Language, mixture: np.ndarray, num_titles: int, generator: np.random.Generator
) -> list[list[str]]:
    """Writes titles, all at once word by word.

    Args:
      language: what to write in.
      mixture: probability of each topic, `[topics]`.
      num_titles: how many titles.
      generator: consumed.

    Returns:
      Words of each title.
    """
    shortest, longest = _LENGTHS
    # Mean 7.9 and deviation 3.1, as titles of articles have.
    lengths = shortest + generator.negative_binomial(5.3, 0.52, num_titles)
    lengths = np.minimum(lengths, longest)
    topics = generator.choice(len(mixture), num_titles, p=mixture)
    # Single precision, so that adding a topic's number below is exact and never rounds up.
    uniform = generator.random((2, longest, num_titles), np.float32).astype(np.float64)
    # One search over all topics: topic z holds the values from z to z + 1.
    steps = (language.cumulative + np.arange(len(mixture))[:, None]).ravel()
    any_word = np.searchsorted(steps, topics + uniform[0], side="right") % _NUM_WORDS
    slots = np.searchsorted(_SUCCESSOR_PROBS.cumsum(), uniform[1], side="right")
    ids = np.empty((longest, num_titles), int)
    ids[0] = any_word[0]
    for t in range(1, longest):
        # The slot after the last successor stands for any word of the topic.
        likely = language.successors[topics, ids[t - 1]]
        choices = np.column_stack([likely, any_word[t]])
        ids[t] = choices[np.arange(num_titles), slots[t]]
    return [
        language.words[title[:length]].tolist()
        for title, length in zip(ids.T, lengths, strict=True)
    ]
