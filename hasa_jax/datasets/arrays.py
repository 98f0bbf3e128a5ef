"""A dataset from the user's own arrays: one pair of inputs and targets per client."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np

from hasa_jax.base import IGNORED, FederatedDataset, UserError
from hasa_jax.datasets.splits import assemble, split_clients

_INT32_MAX = np.iinfo(np.int32).max


def from_arrays(
    clients: Mapping[str, tuple[Any, Any]] | Sequence[tuple[Any, Any]],
    key: jax.Array,
    num_classes: int | None = None,
) -> FederatedDataset:
    """Splits every client's arrays 80/10/10 into train, validation and test.

    Args:
      clients: inputs `[n, ...]` and integer targets `[n]` or `[n, T]` of each client, by name.
        Clients of a sequence get the names `client_0`, `client_1` and so on. Targets are class
        ids from 0, `UNKNOWN` or `IGNORED`. Each client needs three examples.
      key: root key of the run; it is not consumed.
      num_classes: number of classes `K`; by default the largest target plus one.

    Returns:
      The dataset. Clients keep their order. Floats become float32, integers become int32.

    Raises:
      UserError: if arrays do not match, or if there are too few clients or examples.
    """
    if not isinstance(clients, Mapping):
        clients = {f"client_{i}": pair for i, pair in enumerate(clients)}
    pairs = {}
    for name, (inputs, targets) in clients.items():
        pairs[name] = _inputs(name, inputs), _targets(name, targets)
    for name, (inputs, targets) in pairs.items():
        if len(inputs) != len(targets):
            raise UserError(
                f"client {name!r} has {len(inputs)} inputs but {len(targets)} targets: "
                "every example needs both"
            )
    splits = split_clients({name: len(pair[0]) for name, pair in pairs.items()}, key, "examples")
    _check_alike(pairs)
    return assemble(pairs, splits, _num_classes(pairs, num_classes))


def _inputs(name: str, inputs: Any) -> np.ndarray:
    """Returns inputs `[n, ...]` as float32 or int32."""
    inputs = np.asarray(inputs)
    if inputs.ndim == 0 or inputs.dtype.kind not in "biuf":
        raise UserError(
            f"inputs of client {name!r} are {inputs.dtype} of shape {inputs.shape}: "
            "give numbers [n, ...]"
        )
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


def _targets(name: str, targets: Any) -> np.ndarray:
    """Returns targets `[n]` or `[n, T]` as int32."""
    targets = np.asarray(targets)
    if targets.ndim not in (1, 2) or targets.dtype.kind not in "iu":
        raise UserError(
            f"targets of client {name!r} are {targets.dtype} of shape {targets.shape}: "
            "give integers [n] or [n, T]"
        )
    if targets.size and (targets.max() >= _INT32_MAX or targets.min() < IGNORED):
        raise UserError(
            f"targets of client {name!r} go from {targets.min()} to {targets.max()}: give class "
            f"ids from 0, -1 for an unknown class, {IGNORED} for padding"
        )
    return targets.astype(np.int32)


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


def _num_classes(
    pairs: Mapping[str, tuple[np.ndarray, np.ndarray]], num_classes: int | None
) -> int:
    """Returns the number of classes; checks it against the targets."""
    largest = {name: int(targets.max(initial=-1)) for name, (_, targets) in pairs.items()}
    name = max(largest, key=largest.__getitem__)
    if num_classes is None:
        num_classes = largest[name] + 1
    if num_classes < 1:
        raise UserError("no target is a class id (0 or more): there is nothing to learn")
    if largest[name] >= num_classes:
        raise UserError(
            f"client {name!r} has target {largest[name]} but `num_classes` is {num_classes}: "
            "targets must be below it"
        )
    return num_classes
