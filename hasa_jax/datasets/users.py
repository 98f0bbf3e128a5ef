"""Users as clients: data whose files say who has which examples, and which are for testing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import ClientData, FederatedDataset, UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.copies import check_copies, repeated
from hasa_jax.datasets.examples import Examples
from hasa_jax.datasets.memory import check_memory
from hasa_jax.datasets.names import joined_note, spellings
from hasa_jax.datasets.scales import one_scale
from hasa_jax.datasets.splits import (
    SPLITS,
    check_clients,
    counts_of_marks,
    least_examples,
    marks_of,
)
from hasa_jax.datasets.windows import (
    LEFT_OUT,
    Windows,
    fit_in_order,
    gap_of,
    marks_in_order,
    one_chain,
    windows_of,
)

_MOST = 3
"""Users that a note names."""

_LETTERS = 40
"""Of the name of a user in a note."""

_OVERLAP = (
    "texts of a user may overlap and are split at random, so what a text for {} predicts may stand "
    "in a training text"
)

_BETWEEN = (
    "texts of a user overlap, so they are split in their order: {} that are nearer than {} places "
    "to one for validation or testing are left out"
)


class Encoding(NamedTuple):
    """How inputs and targets become what models take.

    Attributes:
      apply: `(inputs, targets) -> (inputs, targets)` of any examples.
      num_classes: classes `K`.
      num_tokens: token ids of the inputs are below it; 0 if inputs are no tokens.
      notes: lines about what was read how.
    """

    apply: Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
    num_classes: int
    num_tokens: int = 0
    notes: tuple[str, ...] = ()


EncodeFn = Callable[[np.ndarray, np.ndarray, np.ndarray], Encoding]
"""`(inputs [D, ...], targets [D], positions of training examples) -> encoding`."""


def check_alike(where: str, user: str, own: Examples, first: tuple[str, str, Examples]) -> None:
    """Refuses examples without numbers, and those of another kind or shape than the first user's.

    Args:
      where: file of the examples, for the message.
      user: whose examples they are.
      own: one example or more.
      first: file, name and examples of the first user.

    Raises:
      UserError: naming the user, or both.
    """
    if 0 in own.inputs.shape[1:]:
        raise UserError(
            f"{where}: user {user!r} has inputs of shape {own.inputs.shape[1:]}, which have no "
            "numbers: get the file again"
        )
    known = first[2]
    texts = [each.inputs.dtype == np.uint32 for each in (known, own)]
    if texts[0] != texts[1] or (not texts[0] and known.inputs.shape[1:] != own.inputs.shape[1:]):
        kinds = [
            "texts" if text else f"numbers of shape {each.inputs.shape[1:]}"
            for text, each in zip(texts, (known, own), strict=True)
        ]
        raise UserError(
            f"{where}: user {user!r} has {kinds[1]}, but user {first[1]!r} of {first[0]} has "
            f"{kinds[0]}: keep files of other data sets elsewhere"
        )


def from_users(
    train: Mapping[str, Sequence[Examples]],
    test: Mapping[str, Sequence[Examples]] | None,
    encode: EncodeFn,
    key: jax.Array,
    *,
    min_examples: int,
    max_clients: int,
    folds: int,
    fold: int,
    overlap: bool = False,
    notes: tuple[str, ...] = (),
) -> FederatedDataset:
    """Makes a client of each user.

    Without a test part of the authors, every user's examples are split 80/10/10, or by folds; at
    random, or in their order with a gap. With one, a tenth of a user's training examples, drawn at
    random, is for validation.

    Args:
      train: parts of each user's examples, by name.
      test: the same of those that the authors set apart; None if they set none.
      encode: makes numbers of them, by what training examples show.
      key: root key of the run; it is not consumed.
      min_examples: users with fewer examples, beside those for testing, are left out.
      max_clients: users to use, drawn at random; 0 for all.
      folds: see `splits.marks_of`; none with a test part of the authors.
      fold: see `splits.marks_of`.
      overlap: whether inputs are texts that may be windows of a longer one. If they are, and
        the authors set none apart, they are split in their order (`windows.marks_in_order`).
      notes: lines about what the files have that was not read.

    Returns:
      The dataset; clients are in the order of their names. Who was left out stands in its notes.

    Raises:
      UserError: if an argument is out of range, if a user has no name, has the same examples twice
        or pixels of another scale than others, or if there are too few users or examples.
    """
    at_least(0, max_clients=max_clients)
    at_least(1, min_examples=min_examples)
    if folds and test is not None:
        count = sum(len(part.targets) for own in test.values() for part in own)
        raise UserError(
            f"`folds` is {folds}, but the authors of these data set {count} examples apart for "
            "testing: leave it out"
        )
    spelled = spellings([*train, *(test or {})])
    if not all(spelled.values()):
        raise UserError("the name of a user is empty: every user needs a name of its own")
    notes = (*notes, *joined_note(spelled, "users"))
    train, test = _joined(train, spelled), None if test is None else _joined(test, spelled)
    every = train
    notes += _in_parts(train, "")
    notes += _in_parts(test or {}, " for testing")
    windows = None
    if overlap and test is None:
        train, windows, found = _ordered(train)
        notes += found
    elif overlap:
        notes += (_OVERLAP.format("validation"),)
    least = max(min_examples, least_examples(folds))
    fit, left_out = _fit(train, test, least, windows, folds, notes)
    names = _drawn(fit, max_clients, key)
    counts = _counts(train, names)
    check_clients(names, counts, "examples", folds)
    check_copies(names, every, test or {})
    of_parts = [(n, part) for own in (train, test or {}) for n in names for part in own.get(n, ())]
    inputs, targets = _flat(one_scale(of_parts)), _flat([part.targets for _, part in of_parts])
    between: tuple[str, ...] = ()
    if windows is not None:
        gaps = _gaps(windows, names)
        marks = marks_in_order(counts, gaps, folds=folds, fold=fold)
        between = (_BETWEEN.format(int((marks == LEFT_OUT).sum()), _span(gaps + 1)),)
    else:
        marks = marks_of(counts, key, test=test is None, folds=folds, fold=fold)
    indices = [np.flatnonzero(marks == part) for part in range(len(SPLITS))]
    numbers = counts_of_marks(marks, counts)
    if test is not None:
        indices[2], numbers[2] = np.arange(len(marks), len(targets)), _counts(test, names)
        notes += _repeated(names, repeated(inputs, targets, counts, numbers[2]))
    encoding = encode(inputs, targets, indices[0])

    def gather(part: int) -> ClientData:
        found = encoding.apply(inputs[indices[part]], targets[indices[part]])
        offsets = np.concatenate([[0], np.cumsum(numbers[part])]).astype(np.int32)
        return ClientData(*found, offsets, encoding.num_classes)

    notes = (*notes, *left_out, *between, *encoding.notes)
    return FederatedDataset(gather(0), gather(1), gather(2), names, encoding.num_tokens, notes)


def _joined(
    users: Mapping[str, Sequence[Examples]], spelled: Mapping[str, str]
) -> dict[str, list[Examples]]:
    """Joins the parts of users whose names mean the same."""
    found: dict[str, list[Examples]] = {}
    for name, parts in users.items():
        found.setdefault(spelled[name], []).extend(part for part in parts if len(part.targets))
    return found


def _ordered(
    users: Mapping[str, Sequence[Examples]],
) -> tuple[dict[str, list[Examples]], Windows | None, tuple[str, ...]]:
    """Puts texts that are windows into their order, if they are any; with notes on the others."""
    windows = windows_of({name: [part.inputs for part in own] for name, own in users.items()})
    found, left_out = {name: [*own] for name, own in users.items()}, dict[str, int]()
    if windows is None:
        return found, None, (_OVERLAP.format("validation or testing"),)
    apart, notes = {*windows.apart}, ()
    for name, own in users.items():
        if len(own) > 1 and name not in apart:
            step = windows.others.get(name, windows.step)
            found[name] = [own[i] for i in one_chain([part.inputs for part in own], step)]
            rest = sum(len(p.targets) for p in own) - sum(len(p.targets) for p in found[name])
            left_out |= {name: rest} if rest else {}
    if apart:
        notes += (
            f"{len(apart)} users have texts that mostly do not follow each other, so some may "
            f"overlap: {_first(windows.apart)}",
        )
    if left_out:
        notes += (
            f"{len(left_out)} users have texts in several places that do not follow each other and "
            "may overlap, so only the longest chain of each is used and "
            f"{sum(left_out.values())} others are left out: {_first(sorted(left_out))}",
        )
    return found, windows, notes


def _gaps(windows: Windows, names: Sequence[str]) -> np.ndarray:
    """Returns the gap of each user `[N]`."""
    return np.array([gap_of(windows, name) for name in names], np.int64)


def _counts(users: Mapping[str, Sequence[Examples]], names: Sequence[str]) -> np.ndarray:
    """Counts the examples of some users `[N]`."""
    return np.array([sum(len(p.targets) for p in users.get(name, ())) for name in names], np.int64)


def _fit(
    train: Mapping[str, Sequence[Examples]],
    test: Mapping[str, Sequence[Examples]] | None,
    least: int,
    windows: Windows | None,
    folds: int,
    known: tuple[str, ...],
) -> tuple[list[str], tuple[str, ...]]:
    """Returns the users that can be clients, and a line for each kind of those that cannot."""
    every = sorted({**train, **(test or {})})
    small = [name for name, n in zip(every, _counts(train, every), strict=True) if n < least]
    notes = _left_out(small, f"with fewer than {least} examples for training")
    names, hints = _without(every, small), ["lower `min_examples`"] * bool(small)
    if windows is not None:
        counts, gaps = _counts(train, names), _gaps(windows, names)
        fit = fit_in_order(counts, gaps, least, folds)
        few = [name for name, own in zip(names, fit, strict=True) if not own]
        span = _span(counts[~fit])
        beside = f"{'two gaps' if folds else 'a gap'} of {_span(gaps[~fit])}"
        notes += _left_out(few, f"with {span} texts, too few beside {beside},")
        names = _without(names, few)
        hints += ["give users with more texts"] * bool(few)
    if test is not None:
        untested = [name for name, n in zip(names, _counts(test, names), strict=True) if not n]
        notes += _left_out(untested, "without examples for testing")
        names = _without(names, untested)
        hints += ["split the data by example and not by user"] * bool(untested)
    why = (*known, *notes)
    if len(names) < 2 and why:
        found = f"only user {names[0]!r}" if names else "none" if every else "no user"
        of = f" of {len(every)} users" if every else ""
        raise UserError(
            f"{found}{of} can be a client ({'; '.join(why)}), where two are needed: "
            f"{', or '.join(hints) or 'give more users'}"
        )
    return names, notes


def _drawn(names: Sequence[str], most: int, key: jax.Array) -> tuple[str, ...]:
    """Draws so many users at random, or takes all of them, in the order of their names."""
    if not most or most >= len(names):
        return tuple(names)
    generator = keys.generator(keys.address(key, keys.Stream.DATA))
    return tuple(sorted(generator.permutation(names)[:most].tolist()))


def _without(names: Sequence[str], others: Sequence[str]) -> list[str]:
    """Returns names that are not among others, in their order."""
    left_out = {*others}
    return [name for name in names if name not in left_out]


def _left_out(names: Sequence[str], why: str) -> tuple[str, ...]:
    """Writes how many users were left out; nothing if there are none."""
    if not names:
        return ()
    return (f"{len(names)} users {why} were left out: {_first(names)}",)


def _first(names: Sequence[str]) -> str:
    """Lists the first users, their names cut to a length that a line has room for."""
    first = ", ".join(
        repr(n if len(n) <= _LETTERS else f"{n[:_LETTERS]}...") for n in names[:_MOST]
    )
    return first + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")


def _span(counts: np.ndarray) -> str:
    """Writes the least and the largest of some numbers, or the only one."""
    every = sorted({*counts.tolist()})
    return " to ".join(map(str, dict.fromkeys([*every[:1], *every[-1:]])))


def _in_parts(users: Mapping[str, Sequence[Examples]], what: str) -> tuple[str, ...]:
    """Writes how many users stand in several files; nothing if none does."""
    found = sorted(name for name, own in users.items() if len(own) > 1)
    if not found:
        return ()
    return (f"{len(found)} users have examples{what} in several places, joined: {_first(found)}",)


def _repeated(names: Sequence[str], counts: np.ndarray) -> tuple[str, ...]:
    """Writes how many examples for testing are trained on; nothing if none are."""
    found = [name for name, count in zip(names, counts.tolist(), strict=True) if count]
    if not found:
        return ()
    return (
        f"{counts.sum()} examples for testing of {len(found)} users are also among those for "
        f"training and validation: {_first(found)}",
    )


def _flat(parts: Sequence[np.ndarray]) -> np.ndarray:
    """Joins arrays of one type: bytes among numbers become x / 255, shorter texts end in zeros."""
    check_memory(3 * sum(part.nbytes for part in parts), "the examples of all users")
    if parts[0].dtype == np.uint32 and parts[0].ndim == 2:
        longest = max(part.shape[1] for part in parts)
        parts = [np.pad(part, [(0, 0), (0, longest - part.shape[1])]) for part in parts]
    if len({part.dtype for part in parts}) > 1 and parts[0].dtype.kind in "uf":
        parts = [
            part.astype(np.float32) / 255 if part.dtype == np.uint8 else part for part in parts
        ]
    return np.concatenate(parts)
