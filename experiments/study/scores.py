"""Scores of clients from a file of the user."""

from __future__ import annotations

import hashlib
import math
import os
import pathlib

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets import csv_rows
from hasa_jax.datasets.paths import path_of
from hasa_jax.simulation.escapes import from_csv_cell


def read_scores(
    score_path: str | os.PathLike[str], clients: tuple[str, ...], seed: int
) -> np.ndarray:
    """Reads columns `client` and `score`, and `seed` if the file has one.

    Args:
      score_path: the CSV file.
      clients: names of all clients, in their order.
      seed: of the run; lines of other seeds are skipped.

    Returns:
      The scores of all clients `[N]`, larger for clients that are more heterogeneous.

    Raises:
      UserError: if the file cannot be used.
    """
    if not score_path:
        raise UserError("scores of a file need it: name it with `score_path`")
    path = path_of(score_path)
    _, header = next(csv_rows.rows_of(path), (0, []))
    columns = ["client", "score", *(["seed"] if "seed" in header else [])]
    found: dict[str, float] = {}
    for line, (cell, score, *seeds) in csv_rows.named_columns(path, columns):
        client = from_csv_cell(cell)
        try:
            of_this, value = all(int(own) == seed for own in seeds), float(score)
        except ValueError:
            raise UserError(
                f"{path}, line {line}: a score must be a number, and a seed an integer"
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


def identity_of(score_path: str | os.PathLike[str]) -> str:
    """Returns what distinguishes a file of scores from others, wherever it is.

    Args:
      score_path: the file.

    Returns:
      Its SHA-256; the path itself if there is no file, or none is named.
    """
    text = os.fspath(score_path)
    path = pathlib.Path(text)
    if not text or not path.is_file():
        return text
    return hashlib.sha256(path.read_bytes()).hexdigest()
