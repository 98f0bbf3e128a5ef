"""Synthetic titles of clients whose need for width is known by construction.

A title has two names and two sentences: one of frequent words, which are few, and one of rare
words, which are many. In an easy title the frequent words follow their table of next words, and the
rare ones are drawn at random; in a hard title it is the other way round. So a hard client needs a
model that holds a large table, an easy client a small one, and both use every word equally often.
Names are drawn at random, by an unlike client from a list of its own: labels show how unlike a
client is, and nothing of how hard it is.
"""

from __future__ import annotations

import dataclasses

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets.arguments import at_least, fraction
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.splits import assemble, generators_of_clients
from hasa_jax.datasets.vocabulary import FIRST_WORD_ID, UNKNOWN_ID

_KINDS = 8
_SENTENCE = 6  # Words of each of the two sentences.
_SLIP = 0.1  # Chance that a word of a sentence with a table is drawn at random all the same.
_NAMES = 2  # Names of a title.
_OWN_NAMES = 4  # Names in the list of each client.
_LENGTH = 2 * _SENTENCE + _NAMES  # Targets of a title.
_SHARE_OF_VALIDATION = 4  # There are this many test titles to one for validation.


@dataclasses.dataclass(frozen=True)
class Traits:
    """What is known of every client, before any title is drawn.

    Attributes:
      hard: share of its titles that are hard `[N]`.
      unlike: share of its names that are from its own list `[N]`.
      titles: its training titles `[N]`.
    """

    hard: np.ndarray
    unlike: np.ndarray
    titles: np.ndarray


def traits_of_clients(
    *,
    num_titles: int = 2000,
    heterogeneity: float = 0.5,
    difficulty: float = 0.75,
    inequality: float = 0.3,
    score_correlation: float = 1.0,
    size_correlation: float = 0.0,
    clients_per_kind: int = 1,
) -> Traits:
    """Computes the truth of `synthetic_needs`; nothing is drawn.

    There are eight kinds of clients, one for each choice of three signs `D, U, S = ±1`, so the
    signs are uncorrelated over the clients. With r the correlation of the score, s that of the
    size, and `lift(r, x) = (r D + sqrt(1 - r^2) x) / (|r| + sqrt(1 - r^2))`, a client has

      hard = difficulty (1 + D) / 2
      unlike = heterogeneity (1 + lift(r, U)) / 2
      titles = num_titles / N (1 + inequality lift(s, S))

    up to rounding. Over the clients, `unlike` has correlation r with `hard`, `titles` has s with
    it, and the two have r s with each other.

    Args:
      num_titles: training titles of all clients.
      heterogeneity: share of own names of the unlike clients, in [0, 1]. The others have none if
        the correlation is 1, 0 or -1.
      difficulty: share of hard titles of the hard half of the clients, in [0, 1].
      inequality: in [0, 1). The largest client has `(1 + inequality) / (1 - inequality)` times the
        training titles of the smallest.
      score_correlation: correlation of heterogeneity with difficulty, in [-1, 1]: at 1 a score of
        heterogeneity shows who needs width, at 0 it says nothing of it, at -1 it misleads.
      size_correlation: correlation of training titles with difficulty, in [-1, 1].
      clients_per_kind: clients of each kind; `N` is eight times as many.

    Returns:
      The traits; the first half of the clients is easy.

    Raises:
      UserError: if an argument is out of range, or if a client has no training title.
    """
    fraction(heterogeneity=heterogeneity, difficulty=difficulty, inequality=inequality)
    at_least(1, clients_per_kind=clients_per_kind)
    for name, value in (
        ("score_correlation", score_correlation),
        ("size_correlation", size_correlation),
    ):
        if not -1 <= value <= 1:
            raise UserError(f"`{name}` is {value}: it must be between -1 and 1")
    check_memory(64 * _KINDS * clients_per_kind, f"`clients_per_kind` is {clients_per_kind}")
    num_clients = _KINDS * clients_per_kind
    kind = np.arange(num_clients) // clients_per_kind
    hard, unlike, large = (2.0 * (kind >> bit & 1) - 1 for bit in (2, 1, 0))
    unlike = _lift(score_correlation, hard, unlike)
    large = _lift(size_correlation, hard, large)
    titles = np.rint(num_titles / num_clients * (1 + inequality * large)).astype(np.int64)
    if titles.min() < 1:
        raise UserError(
            f"`num_titles` is {num_titles}, of which the smallest of {num_clients} clients gets "
            "none: raise it, or lower `inequality` or `clients_per_kind`"
        )
    return Traits(difficulty * (1 + hard) / 2, heterogeneity * (1 + unlike) / 2, titles)


def _lift(correlation: float, hard: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Returns a trait `[N]` within [-1, 1] that has a correlation with the sign `hard` `[N]`."""
    rest = np.sqrt(1 - correlation**2)
    return (correlation * hard + rest * other) / (abs(correlation) + rest)


def synthetic_needs(
    key: jax.Array,
    *,
    num_titles: int = 2000,
    heterogeneity: float = 0.5,
    difficulty: float = 0.75,
    inequality: float = 0.3,
    score_correlation: float = 1.0,
    size_correlation: float = 0.0,
    rare_words: int = 192,
    frequent_words: int = 4,
    test_titles: int = 200,
    clients_per_kind: int = 1,
) -> FederatedDataset:
    """Draws titles for next-word prediction by clients that need more or less width.

    A title has fourteen targets: two names, six words at random, and six words by a table. The
    table of the frequent words, and that of the rare ones, is one cycle through all of them, drawn
    once for all clients: every word is equally likely everywhere. A word by a table slips with
    chance .1 and is drawn at random. Inputs are the words in front of the targets, but only those
    that decide the next word by a table; all others are out-of-vocabulary. So no model can predict
    the other nine targets better than by their frequencies, and learning them blurs no table.

    Names of a client are from its own list of four with chance `unlike`, else from any list. The
    classes are the frequent words, the rare words, and the lists of the clients, in this order.

    Args:
      key: root key of the run; it is not consumed.
      num_titles: training titles of all clients.
      heterogeneity: share of own names of the unlike clients, in [0, 1]; see `traits_of_clients`.
      difficulty: share of hard titles of the hard half of the clients, in [0, 1].
      inequality: how unequal the numbers of training titles are, in [0, 1).
      score_correlation: correlation of heterogeneity with difficulty over the clients, in [-1, 1].
      size_correlation: correlation of training titles with difficulty over the clients, in [-1, 1].
      rare_words: words in the table of hard titles, at least 2.
      frequent_words: words in the table of easy titles, at least 2.
      test_titles: test titles of each client, however small it is, drawn apart from training; a
        quarter as many, at least one, are for validation.
      clients_per_kind: clients of each of the eight kinds.

    Returns:
      The dataset: inputs and targets `[D, 14]` int32, of the same shapes for every key. Clients
      are called `easy_0`, ..., and `hard_4`, ..., by their trait.

    Raises:
      UserError: if an argument is out of range, or if a client has no training title.
    """
    at_least(2, rare_words=rare_words, frequent_words=frequent_words)
    at_least(1, test_titles=test_titles)
    traits = traits_of_clients(
        num_titles=num_titles,
        heterogeneity=heterogeneity,
        difficulty=difficulty,
        inequality=inequality,
        score_correlation=score_correlation,
        size_correlation=size_correlation,
        clients_per_kind=clients_per_kind,
    )
    held = max(1, test_titles // _SHARE_OF_VALIDATION)
    num_clients = len(traits.hard)
    # A few arrays of eight bytes a word while they are drawn, then two of four.
    each = 48 * _LENGTH
    check_memory(each * num_titles, f"`num_titles` is {num_titles}")
    check_memory(each * 2 * test_titles * num_clients, f"`test_titles` is {test_titles}")
    check_memory(32 * rare_words, f"`rare_words` is {rare_words}")
    check_memory(32 * frequent_words, f"`frequent_words` is {frequent_words}")
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    tables = _cycle(frequent_words, generator), _cycle(rare_words, generator)
    clients, splits = {}, []
    # Client 0 of this stream is the address of what all clients share.
    generators = generators_of_clients(key, num_clients, keys.Stream.DATA, first=1)
    for i, generator in enumerate(generators):
        count = int(traits.titles[i])
        total = count + held + test_titles
        hard = generator.random(total) < traits.hard[i]
        names = _names(i, num_clients, float(traits.unlike[i]), total, generator)
        kind = "hard" if traits.hard[i] > 0 else "easy"
        clients[f"{kind}_{i}"] = _titles(tables, hard, names, generator)
        train, validation, test = np.split(np.arange(total), [count, count + held])
        splits.append((train, validation, test))
    num_classes = frequent_words + rare_words + num_clients * _OWN_NAMES
    return assemble(clients, splits, num_classes, num_classes + FIRST_WORD_ID)


def _cycle(count: int, generator: np.random.Generator) -> np.ndarray:
    """Returns a table of next words `[count]`: one cycle through all of them in random order."""
    order, table = generator.permutation(count), np.empty(count, np.int64)
    table[order] = np.roll(order, -1)
    return table


def _titles(
    tables: tuple[np.ndarray, np.ndarray],
    hard: np.ndarray,
    names: np.ndarray,
    generator: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Draws inputs and targets `[n, 14]` of titles that are hard `[n]` and have names `[n, 2]`."""
    shape = (len(hard), _SENTENCE)
    frequent = len(tables[0])
    # Frequent words come first, then rare words, then names.
    following = np.concatenate([tables[0], tables[1] + frequent])
    words = [generator.integers(frequent, size=shape)]
    words.append(frequent + generator.integers(len(tables[1]), size=shape))
    by_table, at_random = np.where(hard[:, None], words[::-1], words)
    slips = generator.random(shape) < _SLIP
    for t in range(1, _SENTENCE):
        by_table[:, t] = np.where(slips[:, t], by_table[:, t], following[by_table[:, t - 1]])
    targets = np.concatenate([names + len(following), at_random, by_table], axis=1)
    inputs = np.full_like(targets, UNKNOWN_ID)
    inputs[:, 1 - _SENTENCE :] = targets[:, -_SENTENCE:-1] + FIRST_WORD_ID
    return inputs.astype(np.int32), targets.astype(np.int32)


def _names(
    client: int, num_clients: int, unlike: float, count: int, generator: np.random.Generator
) -> np.ndarray:
    """Returns the names of every title `[count, 2]`, from the client's own list or from any."""
    shape = (count, _NAMES)
    own = generator.random(shape) < unlike
    owner = np.where(own, client, generator.integers(num_clients, size=shape))
    return owner * _OWN_NAMES + generator.integers(_OWN_NAMES, size=shape)
