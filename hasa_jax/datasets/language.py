"""An artificial language, for texts that need no file.

All topics share one vocabulary. Every topic gives every word a few likely next words of its own.
A model can therefore learn the next word, and the next word depends on the topic.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from hasa_jax.datasets.memory import check_memory

_NUM_WORDS = 240
_SHARED_WORDS = 40  # The most frequent words; every topic uses them, each in its own order.
_TOPIC_WORDS = (30, 90)  # Further words of the narrowest and the broadest topic.
_SUCCESSOR_PROBS = np.array([0.6, 0.2, 0.1])  # In other cases, any word of the topic follows.
_LENGTHS = (3, 22)


@dataclasses.dataclass(frozen=True)
class Language:
    """A shared vocabulary and the topics that use it.

    Attributes:
      words: spellings `[V]`, the frequent words first.
      cumulative: cumulative word distribution of each topic, `[topics, V]`.
      successors: likely next words of each word in each topic, `[topics, V, 3]`.
    """

    words: np.ndarray
    cumulative: np.ndarray
    successors: np.ndarray


def check_titles(num_titles: int, num_topics: int, max_length: int) -> None:
    """Refuses more titles than this machine has memory for, before any is drawn.

    Args:
      num_titles: titles of all clients.
      num_topics: number of topics.
      max_length: words kept of a title.

    Raises:
      UserError: if they need more than the free memory.
    """
    words = 2 * _LENGTHS[1] * 8  # The random numbers and the word ids of one title.
    check_memory(num_titles * words, f"`num_titles` is {num_titles}")
    check_memory(num_topics * _NUM_WORDS**2 * 8, f"{num_topics} topics")
    check_memory(4 * num_titles * max_length, f"`max_length` is {max_length}")


def draw_language(generator: np.random.Generator, num_topics: int) -> Language:
    """Draws the words, their frequencies in each topic, and their successors in each topic.

    Args:
      generator: consumed.
      num_topics: number of topics.

    Returns:
      The language.
    """
    frequency = 1 / (np.arange(_NUM_WORDS) + 20.0)  # Zipf's law with a flattened top.
    used = np.zeros((num_topics, _NUM_WORDS), bool)
    used[:, :_SHARED_WORDS] = True
    # Topics of different breadth give clients label distributions of different entropy.
    breadths = np.linspace(*_TOPIC_WORDS, num_topics).astype(int)
    for of_topic, breadth in zip(used, generator.permutation(breadths), strict=True):
        own = generator.choice(_NUM_WORDS - _SHARED_WORDS, breadth, replace=False)
        of_topic[_SHARED_WORDS + own] = True
    probs = frequency * used
    probs /= probs.sum(-1, keepdims=True)
    # The largest log p + Gumbel noise are draws from p without replacement.
    shape = (num_topics, _NUM_WORDS, _NUM_WORDS)
    with np.errstate(divide="ignore"):
        perturbed = np.log(probs)[:, None] + generator.gumbel(size=shape)
    successors = np.argsort(-perturbed, axis=-1)[..., : len(_SUCCESSOR_PROBS)]
    cumulative = probs.cumsum(-1)
    cumulative /= cumulative[:, -1:]  # Words after the topic's last word get probability 0.
    return Language(_spellings(generator), cumulative, successors)


def _spellings(generator: np.random.Generator) -> np.ndarray:
    """Returns words of syllables `[V]`; the frequent words are short."""
    syllables = [a + b for a, b in itertools.product("lmnrstv", "aeiou")]
    short = generator.permutation(syllables)
    long = generator.permutation([a + b for a, b in itertools.product(syllables, repeat=2)])
    return np.concatenate([short, long])[:_NUM_WORDS]


def draw_titles(
    language: Language, mixture: np.ndarray, num_titles: int, generator: np.random.Generator
) -> tuple[list[list[str]], np.ndarray]:
    """Draws titles; the words at one position of all titles are drawn at once.

    Args:
      language: supplies the words.
      mixture: probability of each topic, `[topics]`.
      num_titles: number of titles.
      generator: consumed.

    Returns:
      Words of each title, and the topic of each title `[num_titles]`.
    """
    shortest, longest = _LENGTHS
    # Mean 7.9 and deviation 3.1, as in titles of articles.
    lengths = shortest + generator.negative_binomial(5.3, 0.52, num_titles)
    lengths = np.minimum(lengths, longest)
    topics = generator.choice(len(mixture), num_titles, p=mixture)
    # Single precision: adding the number of a topic below is then exact and never rounds up.
    uniform = generator.random((2, longest, num_titles), np.float32).astype(np.float64)
    # One search over all topics: topic z has the values from z to z + 1.
    steps = (language.cumulative + np.arange(len(mixture))[:, None]).ravel()
    any_word = np.searchsorted(steps, topics + uniform[0], side="right") % _NUM_WORDS
    choices = np.searchsorted(_SUCCESSOR_PROBS.cumsum(), uniform[1], side="right")
    ids = np.empty((longest, num_titles), int)
    ids[0] = any_word[0]
    for t in range(1, longest):
        # The choice after the last successor is any word of the topic.
        likely = language.successors[topics, ids[t - 1]]
        candidates = np.column_stack([likely, any_word[t]])
        ids[t] = candidates[np.arange(num_titles), choices[t]]
    titles = [
        language.words[title[:length]].tolist()
        for title, length in zip(ids.T, lengths, strict=True)
    ]
    return titles, topics
