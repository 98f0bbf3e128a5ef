"""Data of as many clients as asked for, in an npz file whose arrays can be memory-mapped."""

from __future__ import annotations

import pathlib

import numpy as np

EXAMPLES, FEATURES, CLASSES = 8, 8, 5


def write_population(path: pathlib.Path, num_clients: int, *, named: bool = False) -> pathlib.Path:
    """Writes 8 examples of 8 features for each client; classes are more or less mixed.

    Args:
      path: the npz file.
      num_clients: number of clients `N`.
      named: whether clients have names, not numbers.

    Returns:
      The path.
    """
    generator = np.random.default_rng(0)
    count = num_clients * EXAMPLES
    clients = np.repeat(np.arange(num_clients, dtype=np.int32), EXAMPLES)
    own = np.repeat(generator.integers(CLASSES, size=num_clients), EXAMPLES)
    others = generator.integers(CLASSES, size=count)
    mixed = np.repeat(generator.random(num_clients), EXAMPLES)
    targets = np.where(generator.random(count) < mixed, others, own).astype(np.int32)
    inputs = generator.standard_normal((count, FEATURES), np.float32)
    inputs[:, 0] += targets
    names = np.char.add("client ", np.arange(num_clients).astype(str))
    np.savez(
        path,
        inputs=inputs,
        targets=targets,
        clients=np.repeat(names, EXAMPLES) if named else clients,
    )
    return path
