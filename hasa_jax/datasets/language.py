"""An invented language, for texts that need no file.

Words follow one another by topic: every topic gives every word its own few successors, over a
shared vocabulary. What comes next can be learned, and the same word calls for different
successors in different topics.
"""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

_NUM_WORDS = 240
_SHARED_WORDS = 40  # The most frequent words; every topic uses them, in its own way.
_TOPIC_WORDS = (30, 90)  # Further words of the narrowest and the broadest topic.
_SUCCESSOR_PROBS = np.array([0.6, 0.2, 0.1])  # Otherwise any word of the topic follows.
_LENGTHS = (3, 22)


@dataclasses.dataclass(frozen=True)
class Language:
    """A shared vocabulary and the topics that use it.

    Attributes:
      words: `V` spellings, the frequent words first.
      cumulative: cumulative word distribution of each topic, `[topics, V]`.
      successors: likely next words of each word in each topic, `[topics, V, 3]`.
    """

    words: np.ndarray
    cumulative: np.ndarray
    successors: np.ndarray


def invent(generator: np.random.Generator, num_topics: int) -> Language:
    """Invents words, what each topic uses them for, and what follows them there.

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
    return Language(_spellings(generator), cumulative, successors)


def _spellings(generator: np.random.Generator) -> np.ndarray:
    """Returns pronounceable words `[V]`, the frequent ones short."""
    syllables = [a + b for a, b in itertools.product("lmnrstv", "aeiou")]
    short = generator.permutation(syllables)
    long = generator.permutation([a + b for a, b in itertools.product(syllables, repeat=2)])
    return np.concatenate([short, long])[:_NUM_WORDS]


def write(
    language: Language, mixture: np.ndarray, num_titles: int, generator: np.random.Generator
) -> tuple[list[list[str]], np.ndarray]:
    """Writes titles, all at once word by word.

    Args:
      language: what to write in.
      mixture: probability of each topic, `[topics]`.
      num_titles: how many titles.
      generator: consumed.

    Returns:
      Words of each title, and its topic `[num_titles]`.
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
    titles = [
        language.words[title[:length]].tolist()
        for title, length in zip(ids.T, lengths, strict=True)
    ]
    return titles, topics
