"""Scores of clients for a policy: computed from the data, or the user's own from a file."""

from __future__ import annotations

import csv
import math
import pathlib

import jax
import numpy as np

from experiments.flags import FLAGS, FROM_FILE
from hasa_jax import SCORES, FederatedAlgorithm, FederatedDataset, UserError


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
    try:
        with path.open(encoding="utf-8", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            lines = [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} is no CSV file of scores ({error})") from None
    found: dict[str, float] = {}
    for line, row in lines:
        try:
            if row.get("seed") is None or int(row["seed"]) == seed:
                found[row["client"]] = float(row["score"])
        except (KeyError, TypeError, ValueError):
            raise UserError(
                f"{path}, line {line}: it needs columns client and score (a number), and may have "
                "seed (a whole number)"
            ) from None
    missing = [name for name in clients if not math.isfinite(found.get(name, math.nan))]
    if missing:
        raise UserError(
            f"{path} has no finite score of client {missing[0]!r} for seed {seed}: add a line"
        )
    return np.array([found[name] for name in clients])
