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

_HEAD = 8
"""Characters that show which steps are worth a comparison of all characters."""


class Windows(NamedTuple):
    """What texts that overlap are like.

    Attributes:
      length: characters of the longest text, `T`.
      step: characters between most texts and the next one, `s`.
      others: users whose texts mostly follow each other by another step, and that step; the
        smallest one if their parts have several.
      apart: users most of whose texts do not follow each other, by name.
    """

    length: int
    step: int
    others: Mapping[str, int]
    apart: tuple[str, ...]


def windows_of(users: Mapping[str, Sequence[np.ndarray]]) -> Windows | None:
    """Finds out whether each text of a user is the one before it, a few characters further on.

    The step `s` is the smallest one up to half of a text that most neighbours in a sample have:
    without its first `s` characters, a text is the start of the next one. LEAF's Shakespeare has
    `s = 1`. Users most of whose texts have no such neighbours are looked at one by one.

    Args:
      users: codes of each user's texts in parts `[n, T]`, 0 after their ends, by name.

    Returns:
      What they are like; None if most texts of the sample do not follow each other.
    """
    step = _step_of(_sampled(users))
    if not step:
        return None
    others, apart = dict[str, int](), list[str]()
    for name in sorted(users):
        steps = [_own_step(part, step) for part in users[name]]
        pairs = [max(0, len(part) - 1) for part in users[name]]
        ordered = sum(n for n, found in zip(pairs, steps, strict=True) if found)
        own = min((found for found in steps if found), default=step)
        if 2 * ordered < sum(pairs):
            apart.append(name)
        elif own != step:
            others[name] = own
    length = max(part.shape[1] for own in users.values() for part in own)
    return Windows(length, step, others, tuple(apart))


def gap_of(windows: Windows, name: str) -> int:
    """Returns how many texts are between two of a user that share no character.

    Args:
      windows: what texts are like.
      name: of the user.

    Returns:
      `ceil(T / s) - 1`, with the step `s` of the user, or that of most users for a user whose texts
      do not follow each other.
    """
    return -(-windows.length // windows.others.get(name, windows.step)) - 1


def one_chain(parts: Sequence[np.ndarray], step: int) -> list[int]:
    """Returns which parts of a user's texts are one chain: each begins where another one ends.

    Of several chains, the one with the most texts is returned, so nothing of it overlaps with texts
    that are elsewhere in the data of the user.

    Args:
      parts: codes of the user's texts, each part `[n, T]` in its order, one text or more.
      step: characters between a text and the next one.

    Returns:
      Positions of the parts in the order of the chain.
    """
    chains: list[list[int]] = []
    for i, part in enumerate(parts):
        chain = next((chain for chain in chains if _follows(parts[chain[-1]], part, step)), None)
        if chain is None:
            chains.append(chain := [])
        chain.append(i)
        others = (own for own in chains if own is not chain)
        after = next((own for own in others if _follows(part, parts[own[0]], step)), None)
        if after is not None:
            chain += after
            chains = [own for own in chains if own is not after]
    return max(chains, key=lambda chain: sum(len(parts[i]) for i in chain))


def _follows(part: np.ndarray, other: np.ndarray, step: int) -> bool:
    """Returns whether the first text of another part is the next one after the last of a part."""
    return part.shape[1] == other.shape[1] and _share([np.stack([part[-1], other[0]])], step) == 1


def _sampled(users: Mapping[str, Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Returns parts of the first users, with a limit for each user and for all."""
    found, room = [], _SAMPLE
    for own in users.values():
        left = min(room, _OF_A_USER)
        for part in own:
            if left > 1 and len(part) > 1:
                found.append(part[:left])
                left -= len(found[-1])
                room -= len(found[-1])
        if room < 2:
            break
    return found


def _step_of(parts: Sequence[np.ndarray]) -> int:
    """Returns the smallest step that half of the neighbours or more have; 0 if there is none."""
    starts = np.zeros(max((part.shape[1] // 2 for part in parts), default=0), np.int64)
    pairs = sum(max(0, len(part) - 1) for part in parts)
    for part in parts:
        steps = part.shape[1] // 2
        alike = np.ones((max(0, len(part) - 1), steps), bool)
        # After half of a text or less, at least the other half is left.
        for place in range(min(_HEAD, part.shape[1] - steps)):
            alike &= part[:-1, place + 1 : place + 1 + steps] == part[1:, place : place + 1]
        starts[:steps] += alike.sum(0)
    for step in np.flatnonzero((2 * starts >= pairs) & (starts > 0)).tolist():
        if _share(parts, step + 1) >= 0.5:
            return step + 1
    return 0


def _own_step(part: np.ndarray, step: int) -> int:
    """Returns the step of a part: that of most users if it has it, else its own; 0 if none."""
    if _share([part], step) >= 0.5:
        return step
    own = _step_of([part[:_OF_A_USER]])
    return own if own and _share([part], own) >= 0.5 else 0


def _share(parts: Sequence[np.ndarray], step: int) -> float:
    """Returns how many neighbours are so many characters apart, of all; 1 if there are none.

    Those are none that share less than half of the characters of their part's longest text.
    """
    pairs = sum(max(0, len(part) - 1) for part in parts)
    long = (part for part in parts if step <= part.shape[1] // 2)
    follow = sum(int((part[:-1, step:] == part[1:, :-step]).all(1).sum()) for part in long)
    return follow / pairs if pairs else 1.0


def fit_in_order(
    counts: np.ndarray, gap: int | np.ndarray, least: int, folds: int = 0
) -> np.ndarray:
    """Returns which clients have enough examples for `marks_in_order`.

    Args:
      counts: examples of each client `[N]`.
      gap: examples that overlap with the one before them, of all clients or of each one `[N]`.
      least: fewest examples of a client in all splits of a fold, three or more.
      folds: number of folds `K`; 0 for none.

    Returns:
      Whether so many are left beside the gap, or beside two of them in a fold, and one for training
      in every fold `[N]`.
    """
    left = counts - gap * (2 if folds else 1)
    tested = -(-counts // folds) if folds else _held(counts, gap)
    return (left >= least) & (left - tested - _held(counts, gap) >= 1)


def _held(counts: np.ndarray, gap: int | np.ndarray) -> np.ndarray:
    """Returns how many examples are for validation: a tenth of those beside a gap."""
    return held_of(np.maximum(counts - gap, 0))


def marks_in_order(
    counts: np.ndarray, gap: int | np.ndarray, *, folds: int = 0, fold: int = 0
) -> np.ndarray:
    """Splits every client in the order of its examples, with a gap beside those for training.

    Of a client's `n` examples, the last `max(1, round((n - gap) / 10))` are for test, and as many
    before them for validation. Folds are as in `splits.marks_of`, of the examples in their order.
    Examples for training that are `gap` places or fewer from one for validation or test are in no
    split.

    Args:
      counts: examples of each client `[N]`, for which `fit_in_order` is true.
      gap: examples that overlap with the one before them, of all clients or of each one `[N]`.
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
    # A place outside of all clients means none.
    before = np.maximum.accumulate(np.where(marks > 0, place, -1))
    after = np.minimum.accumulate(np.where(marks > 0, place, len(place))[::-1])[::-1]
    own = np.repeat(np.broadcast_to(gap, counts.shape), counts)
    near = (before >= starts) & (place - before <= own)
    near |= (after < starts + every) & (after - place <= own)
    return np.where((marks == 0) & near, LEFT_OUT, marks).astype(np.int8)
