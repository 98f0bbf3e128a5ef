"""A dataset from arrays of all clients' examples: no step takes clients one by one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import jax
import numpy as np

from hasa_jax.base import ClientData, FederatedDataset, UserError
from hasa_jax.datasets.arrays import (
    check_number_of_classes,
    from_arrays,
    inputs_of,
    notes_of,
    refuse_one_hot,
    targets_of,
)
from hasa_jax.datasets.mapped import Mapped
from hasa_jax.datasets.splits import SPLITS, check_clients, counts_of_marks, marks_of

_ALL = "of all"


def from_flat(
    names: Sequence[str],
    owners: np.ndarray,
    inputs: np.ndarray | Mapped,
    targets: np.ndarray,
    key: jax.Array,
    folds: int = 0,
    fold: int = 0,
) -> FederatedDataset:
    """Splits the examples of every client, as `from_arrays` does, with its checks.

    Args:
      names: of the clients, in their order.
      owners: position in `names` of each example's client `[D]`; every client has examples.
      inputs: numbers `[D, ...]`. Those that stay in their file are checked when they are read.
      targets: class ids `[D]`, `[D, 1]` or `[D, T]`.
      key: root key of the seed; it is not consumed.
      folds: as for `from_arrays`.
      fold: as for `from_arrays`.

    Returns:
      The dataset. Examples of a client keep their order.

    Raises:
      UserError: as `from_arrays` does.
    """
    counts = np.bincount(owners, minlength=len(names))
    order = _order(owners)
    try:
        return _at_once(names, counts, order, inputs, targets, key, folds, fold)
    except UserError:
        if not names:
            raise
        # Client by client, a message names the client.
        shape = (len(inputs), *inputs.shape[1:2])
        known = np.zeros(shape, np.float32) if isinstance(inputs, Mapped) else inputs
        every = np.arange(len(owners)) if order is None else order
        parts = np.split(every, np.cumsum(counts)[:-1])
        from_arrays(
            {name: (known[own], targets[own]) for name, own in zip(names, parts, strict=True)},
            key,
            folds=folds,
            fold=fold,
        )
        raise


def _order(owners: np.ndarray) -> np.ndarray | None:
    """Returns the examples client by client, each client's in their order `[D]`; None if as now."""
    if (owners[1:] >= owners[:-1]).all():
        return None
    return np.argsort(owners, kind="stable")


def _at_once(
    names: Sequence[str],
    counts: np.ndarray,
    order: np.ndarray | None,
    inputs: np.ndarray | Mapped,
    targets: np.ndarray,
    key: jax.Array,
    folds: int,
    fold: int,
) -> FederatedDataset:
    """Checks and splits the examples of all clients; a message names no client."""
    check_clients(names, counts, "examples", folds)
    if not isinstance(inputs, Mapped):
        inputs = inputs_of(_ALL, inputs, 0)
    refuse_one_hot([targets])
    read = targets_of(_ALL, inputs.shape, targets, 0)
    num_classes = int(read.max(initial=-1)) + 1
    check_number_of_classes(_ALL, num_classes, read.size, read.ndim)
    marks = marks_of(counts, key, folds=folds, fold=fold)
    numbers = counts_of_marks(marks, counts)
    train, validation, test = (
        _chosen(inputs, read, _positions(marks == part, order), numbers[part], num_classes)
        for part in range(len(SPLITS))
    )
    every = len(names)
    columns, others = every * (targets.ndim > read.ndim), every * (targets.dtype.kind in "fb")
    return FederatedDataset(train, validation, test, tuple(names), notes=notes_of(columns, others))


def _positions(of_split: np.ndarray, order: np.ndarray | None) -> np.ndarray:
    """Returns the examples of a split, client by client."""
    return np.flatnonzero(of_split) if order is None else order[of_split]


def _chosen(
    inputs: np.ndarray | Mapped,
    targets: np.ndarray,
    indices: np.ndarray,
    counts: np.ndarray,
    num_classes: int,
) -> ClientData:
    """Returns the examples of one split; inputs that stay in their file are not read."""
    chosen = inputs.chosen(indices) if isinstance(inputs, Mapped) else inputs[indices]
    return ClientData(
        # What data need of an array, `Mapped` has.
        inputs=cast("np.ndarray", chosen),
        targets=targets[indices],
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int32),
        num_classes=num_classes,
    )
