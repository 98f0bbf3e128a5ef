"""A dataset from the user's own arrays: one pair of inputs and targets per client."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hasa_jax.base import IGNORED, FederatedDataset, UserError
from hasa_jax.datasets.arguments import at_least
from hasa_jax.datasets.names import plain_name
from hasa_jax.datasets.splits import assemble, split_clients

_INT32_MAX = np.iinfo(np.int32).max
_MOST_CLASSES = 1000
_MOST_TOKENS = 2**18
"""Classes that fewer examples, or fewer positions of texts, may have."""

_NO_CLASS = "no target is a class id (0 or more): there is nothing to learn"


def from_arrays(
    clients: Mapping[str, tuple[Any, Any]] | Sequence[tuple[Any, Any]],
    key: jax.Array,
    num_classes: int | None = None,
    num_tokens: int = 0,
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Splits every client's arrays 80/10/10 into train, validation and test, or by folds.

    Args:
      clients: inputs `[n, ...]` and targets of each client, by name. Targets are class ids from 0:
        `[n]`, or `[n, 1]`, which is the same; or `[n, T]`, one for each position of the inputs,
        where `UNKNOWN` and `IGNORED` are allowed too. Floats such as 1.0 are class ids if all are
        whole numbers. Clients of a sequence get the names `client_0`, `client_1` and so on. Each
        client needs three examples.
      key: root key of the run; it is not consumed.
      num_classes: number of classes `K`; by default the largest target plus one.
      num_tokens: if inputs are token ids `[n, T]`, the number of ids; all ids must be below it. The
        id 0 is padding. 0 means that inputs are no tokens.
      folds: number of folds `K` of cross-validation, in which every example is for test once; 0
        for none. A client needs `K` examples, and three; four for two folds.
      fold: which of them, from 1 to `K`; 0 if there are none. Folds of one key share what is drawn
        beside the splits.

    Returns:
      The dataset. Clients keep their order. Floats become float32, integers become int32. Names
      have Unicode's NFC form, single spaces and no invisible characters.

    Raises:
      UserError: if arrays do not match, or if there are too few clients or examples.
    """
    at_least(0, num_tokens=num_tokens)
    if not isinstance(clients, Mapping):
        clients = {f"client_{i}": pair for i, pair in enumerate(clients)}
    names = _names(clients)
    given = {
        name: (inputs_of(name, inputs, num_tokens), _array("targets", name, targets))
        for name, (inputs, targets) in zip(names, clients.values(), strict=True)
    }
    refuse_one_hot([targets for _, targets in given.values()])
    pairs = {
        n: (inputs, targets_of(n, inputs.shape, t, num_tokens)) for n, (inputs, t) in given.items()
    }
    for name, (inputs, targets) in pairs.items():
        if len(inputs) != len(targets):
            raise UserError(
                f"client {name!r} has {len(inputs)} inputs but {len(targets)} targets: "
                "every example needs both"
            )
    counts = {name: len(pair[0]) for name, pair in pairs.items()}
    splits = split_clients(counts, key, "examples", folds, fold)
    _check_alike(pairs)
    dataset = assemble(pairs, splits, num_classes_of(pairs, num_classes), num_tokens)
    columns = sum(t.ndim > pairs[name][1].ndim for name, (_, t) in given.items())
    others = sum(targets.dtype.kind in "fb" for _, targets in given.values())
    return dataclasses.replace(dataset, notes=notes_of(columns, others))


def _names(clients: Mapping[str, Any]) -> list[str]:
    """Returns the names of all clients, each of them once."""
    names: dict[str, str] = {}
    for raw in clients:
        name = plain_name(raw)
        if not name or name in names:
            why = f"is the same as that of {names[name]!r}" if name else "has no visible character"
            raise UserError(f"the name {raw!r} of a client {why}: name each client differently")
        names[name] = raw
    return list(names)


def _array(what: str, name: str, values: Any) -> np.ndarray:
    """Returns inputs or targets as an array."""
    try:
        return np.asarray(values)
    except ValueError:
        raise UserError(
            f"{what} of client {name!r} have several lengths: give an array of numbers"
        ) from None


def inputs_of(name: str, values: Any, num_tokens: int) -> np.ndarray:
    """Returns inputs as float32 or int32.

    Args:
      name: of the client, for messages.
      values: numbers `[n, ...]`.
      num_tokens: token ids are below it; 0 if inputs are no tokens.

    Returns:
      The inputs.

    Raises:
      UserError: if they are no such numbers.
    """
    inputs = _array("inputs", name, values)
    if inputs.ndim == 0 or inputs.dtype.kind not in "biuf" or (len(inputs) and not inputs.size):
        raise UserError(
            f"inputs of client {name!r} are {inputs.dtype} of shape {inputs.shape}: "
            "give numbers [n, ...], at least one for each example"
        )
    if num_tokens:
        _check_tokens(name, inputs, num_tokens)
    if inputs.dtype.kind == "f":
        # A float64 beyond the range of float32 becomes infinite; the check below refuses it.
        with np.errstate(over="ignore"):
            inputs = inputs.astype(np.float32)
        if not np.isfinite(inputs).all():
            index = int(np.argwhere(~np.isfinite(inputs))[0][0])
            raise UserError(
                f"inputs of client {name!r} are not finite in float32 in example {index}: "
                "remove or replace them"
            )
        return inputs
    if inputs.size and (inputs.max() > _INT32_MAX or inputs.min() < -_INT32_MAX):
        raise UserError(f"inputs of client {name!r} do not fit int32: give smaller integers")
    return inputs.astype(np.int32)


def _check_tokens(name: str, inputs: np.ndarray, num_tokens: int) -> None:
    """Refuses inputs that are no token ids below `num_tokens`."""
    if inputs.ndim != 2 or inputs.dtype.kind not in "iu":
        raise UserError(
            f"`num_tokens` is {num_tokens}, but inputs of client {name!r} are {inputs.dtype} of "
            f"shape {inputs.shape}: give token ids as integers [n, T], or leave it out"
        )
    if inputs.size and (inputs.min() < 0 or inputs.max() >= num_tokens):
        raise UserError(
            f"client {name!r} has token ids from {inputs.min()} to {inputs.max()}, but "
            f"`num_tokens` is {num_tokens}: ids go from 0 to {num_tokens - 1}"
        )


def refuse_one_hot(all_targets: Sequence[np.ndarray]) -> None:
    """Refuses targets of zeros with a single one in each row, which class ids almost never are.

    Args:
      all_targets: those of each client.

    Raises:
      UserError: if those of all clients are.
    """
    tables = [t for t in all_targets if t.ndim == 2 and t.shape[1] > 1 and t.dtype.kind in "biuf"]
    found = [t for t in tables if len(t) and (t == 1).sum(1).min() == 1 == (t != 0).sum(1).max()]
    if found and len(found) == len(all_targets):
        raise UserError(
            f"targets are one-hot, of shape {found[0].shape}: give class ids [n], such as "
            "targets.argmax(-1)"
        )


def targets_of(
    name: str, of_inputs: tuple[int, ...], targets: np.ndarray, num_tokens: int
) -> np.ndarray:
    """Returns targets as int32.

    Args:
      name: of the client, for messages.
      of_inputs: shape of its inputs.
      targets: `[n]`, `[n, 1]` or `[n, T]`.
      num_tokens: token ids of the inputs are below it; 0 if inputs are no tokens.

    Returns:
      The targets `[n]` or `[n, T]`.

    Raises:
      UserError: if they are no class ids.
    """
    # Labels in one column are labels, except those of token ids of one position.
    if targets.shape[1:] == (1,) and not (num_tokens and of_inputs[1:] == (1,)):
        targets = targets[:, 0]
    numbers = targets.dtype.kind in "biu" or (targets.dtype.kind == "f" and is_integral(targets))
    if targets.ndim not in (1, 2) or not numbers:
        raise UserError(
            f"targets of client {name!r} are {targets.dtype} of shape {targets.shape}: "
            "give integers [n] or [n, T], class ids from 0"
        )
    if targets.ndim == 2 and of_inputs[1:2] != targets.shape[1:]:
        raise UserError(
            f"targets of client {name!r} have shape {targets.shape} and inputs {of_inputs}: "
            "give one class id for each example [n], or one for each position [n, T]"
        )
    least = IGNORED if targets.ndim == 2 else 0
    if targets.size and (int(targets.max()) >= _INT32_MAX or int(targets.min()) < least):
        raise UserError(_out_of_range(name, targets))
    return targets.astype(np.int32)


def is_integral(values: np.ndarray) -> bool:
    """Returns whether all floats are finite whole numbers."""
    return bool((np.isfinite(values) & (np.trunc(values) == values)).all())


def _out_of_range(name: str, targets: np.ndarray) -> str:
    """Writes the message for targets that are no class ids."""
    low, high = int(targets.min()), int(targets.max())
    found = f"targets of client {name!r} go from {low} to {high}"
    if targets.ndim == 2:
        return f"{found}: give class ids from 0, -1 for an unknown class, {IGNORED} for padding"
    if set(np.unique(targets).tolist()) <= {-1, 1}:
        return f"{found}: use 0 and 1 for two classes, not -1 and 1"
    return f"{found}: give class ids from 0 to K - 1, without negative ones"


def _check_alike(pairs: Mapping[str, tuple[np.ndarray, np.ndarray]]) -> None:
    """Checks that the examples of all clients have one shape and one dtype."""
    (first, pair), *others = pairs.items()
    for name, other in others:
        for what, mine, theirs in zip(("inputs", "targets"), pair, other, strict=True):
            if (mine.shape[1:], mine.dtype) != (theirs.shape[1:], theirs.dtype):
                raise UserError(
                    f"{what} of client {name!r} are {theirs.dtype} of shape {theirs.shape[1:]} "
                    f"per example, those of {first!r} are {mine.dtype} of {mine.shape[1:]}: "
                    "give all clients the same shape and dtype"
                )


def num_classes_of(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], num_classes: int | None
) -> int:
    """Returns the number of classes; checks it against the targets.

    Args:
      pairs: inputs and targets of each client, by name.
      num_classes: as the user gave it; the largest target plus one if None.

    Returns:
      The number of classes `K`.

    Raises:
      UserError: if there is no class, or a target is not below the number or far too large.
    """
    largest = {name: int(targets.max(initial=-1)) for name, (_, targets) in pairs.items()}
    name = max(largest, key=largest.__getitem__)
    if num_classes is None:
        num_classes = largest[name] + 1
        arrays = [targets for _, targets in pairs.values()]
        count = sum(targets.size for targets in arrays)
        check_number_of_classes(name, num_classes, count, arrays[0].ndim)
    if num_classes < 1:
        raise UserError(_NO_CLASS)
    if largest[name] >= num_classes:
        raise UserError(
            f"client {name!r} has target {largest[name]} but `num_classes` is {num_classes}: "
            "targets must be below it"
        )
    return num_classes


def check_number_of_classes(name: str, num_classes: int, count: int, ndim: int) -> None:
    """Refuses numbers of classes that the targets do not show.

    Args:
      name: of the client that has the largest target, for messages.
      num_classes: the largest target plus one.
      count: targets of all clients.
      ndim: axes of the targets.

    Raises:
      UserError: if there is no class, or there are far more classes than targets.
    """
    # A parameter array grows with the largest target, so the data themselves bound it.
    usual = _MOST_CLASSES if ndim == 1 else _MOST_TOKENS
    if num_classes > max(usual, count):
        raise UserError(
            f"client {name!r} has target {num_classes - 1}, more than there are targets: number "
            "classes from 0 to K - 1, such as by numpy.unique(targets, return_inverse=True)"
        )
    if num_classes < 1:
        raise UserError(_NO_CLASS)


def notes_of(columns: int, others: int) -> tuple[str, ...]:
    """Writes how targets were read that are not integers `[n]` or `[n, T]`.

    Args:
      columns: clients whose targets are `[n, 1]`.
      others: clients whose targets are floats or booleans.

    Returns:
      A line for each kind that there is.
    """
    found = (
        (columns, "[n, 1] are read as [n]"),
        (others, "whole numbers of another type are read as integers"),
    )
    return tuple(f"targets of {count} clients: {how}" for count, how in found if count)
