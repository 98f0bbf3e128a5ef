"""Texts that are windows of a longer one, each a little further on: found, and split in order."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from hasa_jax.datasets.splits import SPLITS, check_folds, held_of, marks_of_fold

LEFT_OUT = len(SPLITS)
"""Mark of an example that is in no split."""

_SAMPLE = 1000
"""Texts that show how far each one is from the next."""

_OF_A_USER = 50
"""Of them, those of one user at most."""


class Windows(NamedTuple):
    """What texts that overlap are like.

    Attributes:
      gap: texts of a user between two that share no character.
      apart: users most of whose texts do not follow each other, by name.
    """

    gap: int
    apart: tuple[str, ...]


def windows_of(users: Mapping[str, Sequence[np.ndarray]]) -> Windows | None:
    """Finds out whether each text of a user is the one before it, a few characters further on.

    The step `s` is the smallest one up to half of a text that most neighbours in a sample have:
    without its first `s` characters, a text is the start of the next one. LEAF's Shakespeare has
    `s = 1`. Texts of `T` characters then overlap unless `ceil(T / s) - 1` others are between them.

    Args:
      users: codes of each user's texts in parts `[n, T]`, 0 after their ends, by name.

    Returns:
      What they are like; None if most texts of the sample do not follow each other.
    """
    parts = [part for own in users.values() for part in own if len(part) > 1]
    length = max((part.shape[1] for part in parts), default=0)
    sample: list[np.ndarray] = []
    for part in parts:
        if sum(map(len, sample)) < _SAMPLE:
            sample.append(part[:_OF_A_USER])
    for step in range(1, length // 2 + 1):
        if _share(sample, step) >= 0.5:
            apart = (name for name, own in users.items() if _share(own, step) < 0.5)
            return Windows(-(-length // step) - 1, tuple(sorted(apart)))
    return None


def _share(parts: Sequence[np.ndarray], step: int) -> float:
    """Returns how many neighbours are so many characters apart, of all; 1 if there are none."""
    pairs = sum(max(0, len(part) - 1) for part in parts)
    follow = sum(int((part[:-1, step:] == part[1:, :-step]).all(1).sum()) for part in parts)
    return follow / pairs if pairs else 1.0


def fit_in_order(counts: np.ndarray, gap: int, least: int, folds: int = 0) -> np.ndarray:
    """Returns which clients have enough examples for `marks_in_order`.

    Args:
      counts: examples of each client `[N]`.
      gap: examples that overlap with the one before them.
      least: fewest examples of a client in all splits of a fold, three or more.
      folds: number of folds `K`; 0 for none.

    Returns:
      Whether so many are left beside the gap, or beside two of them in a fold, and one for training
      in every fold `[N]`.
    """
    left = counts - gap * (2 if folds else 1)
    tested = -(-counts // folds) if folds else _held(counts, gap)
    return (left >= least) & (left - tested - _held(counts, gap) >= 1)


def _held(counts: np.ndarray, gap: int) -> np.ndarray:
    """Returns how many examples are for validation: a tenth of those beside a gap."""
    return held_of(np.maximum(counts - gap, 0))


def marks_in_order(counts: np.ndarray, gap: int, *, folds: int = 0, fold: int = 0) -> np.ndarray:
    """Splits every client in the order of its examples, with a gap beside those for training.

    Of a client's `n` examples, the last `max(1, round((n - gap) / 10))` are for test, and as many
    before them for validation. Folds are as in `splits.marks_of`, of the examples in their order.
    Examples for training that are `gap` places or fewer from one for validation or test are in no
    split.

    Args:
      counts: examples of each client `[N]`, for which `fit_in_order` is true.
      gap: examples that overlap with the one before them.
      folds: number of folds `K`; 0 for none. Over all folds, each example is for test once.
      fold: from 1 to `K`; 0 if there are none.

    Returns:
      The position in `SPLITS` of each example `[D]`, or `LEFT_OUT`, int8, client by client.

    Raises:
      UserError: if there is no such fold.
    """
    check_folds(folds, fold)
    counts = np.asarray(counts, np.int64)
    starts = np.repeat(np.cumsum(counts) - counts, counts)
    every, place = np.repeat(counts, counts), np.arange(counts.sum())
    held, rank = np.repeat(_held(counts, gap), counts), place - starts
    if folds:
        marks = marks_of_fold(rank, every, held, folds, fold)
    else:
        marks = np.where(rank >= every - held, 2, np.where(rank >= every - 2 * held, 1, 0))
    none = place[-1:] + gap + 1 if len(place) else place
    before = np.maximum.accumulate(np.where(marks > 0, place, -gap - 1))
    after = np.minimum.accumulate(np.where(marks > 0, place, none)[::-1])[::-1]
    near = (before >= starts) & (place - before <= gap)
    near |= (after < starts + every) & (after - place <= gap)
    return np.where((marks == 0) & near, LEFT_OUT, marks).astype(np.int8)
