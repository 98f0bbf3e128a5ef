"""Scores of clients for a policy: computed from the data, or the user's own from a file."""

from __future__ import annotations

import hashlib
import math
import pathlib

import jax
import numpy as np

from experiments.flags import FLAGS, FROM_FILE
from hasa_jax import SCORES, FederatedAlgorithm, FederatedDataset, UserError
from hasa_jax.datasets import csv_rows


def named_score(policy: str) -> tuple[str, str]:
    """Splits `policy@score`; without a score it is `--score`."""
    name, _, score = policy.partition("@")
    return name, score or FLAGS.score


def scores_of(
    dataset: FederatedDataset, algorithm: FederatedAlgorithm, score: str, seed: int
) -> np.ndarray:
    """Returns the scores of all clients `[N]`.

    Args:
      dataset: only its training examples are looked at.
      algorithm: supplies the supernet.
      score: one of `SCORES`, or `file` for those in `--score_path`.
      seed: of the run.

    Returns:
      The scores, larger for clients that are more heterogeneous.

    Raises:
      UserError: if the file cannot be used.
    """
    if score == FROM_FILE:
        return _read(pathlib.Path(FLAGS.score_path), dataset.client_names, seed)
    return SCORES[score]()(dataset.train, algorithm.model, jax.random.key(seed))


def _read(path: pathlib.Path, clients: tuple[str, ...], seed: int) -> np.ndarray:
    """Reads columns `client` and `score`, and `seed` if the file has one."""
    if not FLAGS.score_path:
        raise UserError("scores of a file need it: name it with --score_path")
    _, header = next(csv_rows.rows_of(path), (0, []))
    columns = ["client", "score", *(["seed"] if "seed" in header else [])]
    found: dict[str, float] = {}
    for line, (client, score, *seeds) in csv_rows.named_columns(path, columns):
        try:
            of_this, value = all(int(own) == seed for own in seeds), float(score)
        except ValueError:
            raise UserError(
                f"{path}, line {line}: a score must be a number, and a seed a whole one"
            ) from None
        if of_this and client in found:
            raise UserError(f"{path}, line {line}: client {client!r} is there twice")
        if of_this:
            found[client] = value
    missing = [name for name in clients if not math.isfinite(found.get(name, math.nan))]
    if missing:
        raise UserError(
            f"{path} has no finite score of client {missing[0]!r} for seed {seed}: add a line"
        )
    return np.array([found[name] for name in clients])


def score_file() -> str:
    """Returns what tells the flagged file of scores from others: its SHA-256; empty without one."""
    path = pathlib.Path(FLAGS.score_path)
    if not FLAGS.score_path or not path.is_file():
        return FLAGS.score_path
    return hashlib.sha256(path.read_bytes()).hexdigest()
