"""The same examples in two places: parts of a user that are copies, and examples that repeat."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.examples import Examples

_LEAST = 3
"""Different examples of a part, from which on an equal part is sure to be a copy."""


def check_copies(
    names: Sequence[str],
    train: Mapping[str, Sequence[Examples]],
    test: Mapping[str, Sequence[Examples]],
) -> None:
    """Refuses users that have the same part twice: examples for testing would be trained on.

    Equal parts of one or two different examples may be equal by chance.

    Args:
      names: of the users.
      train: parts of each user's examples, by name.
      test: the same of those for testing.

    Raises:
      UserError: naming the first user.
    """
    for name in names:
        own = train.get(name, ())
        parts = [*own, *test.get(name, ())]
        for i, part in enumerate(parts):
            for j, other in enumerate(parts[:i]):
                if _same(part, other) and len({*_values(part.inputs, part.targets)}) >= _LEAST:
                    split = j < len(own) <= i
                    where = "for training and for testing" if split else "in two places"
                    raise UserError(
                        f"user {name!r} has the same {len(part.targets)} examples twice, {where}: "
                        "remove the copy"
                    )


def repeated(
    inputs: np.ndarray, targets: np.ndarray, counts: np.ndarray, tested: np.ndarray
) -> np.ndarray:
    """Counts the examples for testing of each client that are among its other ones.

    Args:
      inputs: of all examples `[D + E, ...]`: first those for training and validation of all
        clients, then those for testing.
      targets: `[D + E]`.
      counts: examples for training and validation of each client `[N]`, `D` in all.
      tested: examples for testing of each client `[N]`, `E` in all.

    Returns:
      How many of its examples for testing have the inputs and the target of another one `[N]`.
    """
    found = np.zeros(len(counts), np.int64)
    ends, others = np.cumsum(counts), counts.sum() + np.cumsum(tested)
    for client, (end, other) in enumerate(zip(ends.tolist(), others.tolist(), strict=True)):
        own, held = slice(end - counts[client], end), slice(other - tested[client], other)
        known = {*_values(inputs[own], targets[own])}
        found[client] = sum(value in known for value in _values(inputs[held], targets[held]))
    return found


def _same(part: Examples, other: Examples) -> bool:
    """Whether two parts have the same examples in the same order."""
    same = np.array_equal(part.targets, other.targets)
    return same and np.array_equal(part.inputs, other.inputs)


def _values(inputs: np.ndarray, targets: np.ndarray) -> list[tuple[Hashable, Hashable]]:
    """Returns each example as a value that can be looked up."""
    values = inputs.tolist() if inputs.dtype == object else [own.tobytes() for own in inputs]
    return list(zip(values, targets.tolist(), strict=True))
