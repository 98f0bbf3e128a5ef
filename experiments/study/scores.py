"""Scores of clients from a file of the user."""

from __future__ import annotations

import hashlib
import itertools
import math
import os
import pathlib
from collections.abc import Sequence

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets import csv_rows
from hasa_jax.datasets.paths import path_of
from hasa_jax.simulation.escapes import from_csv_cell


def read_scores(
    score_path: str | os.PathLike[str], clients: tuple[str, ...], seed: int, fold: int = 0
) -> np.ndarray:
    """Reads columns `client` and `score`, and `seed` and `fold` if the file has them.

    Args:
      score_path: the CSV file.
      clients: names of all clients, in their order.
      seed: of the run; lines of other seeds are skipped.
      fold: of the run, in the same way; 0 if there are none.

    Returns:
      The scores of all clients `[N]`, larger for clients that are more heterogeneous.

    Raises:
      UserError: if the file cannot be used.
    """
    if not score_path:
        raise UserError("scores of a file need it: name it with `score_path`")
    path = path_of(score_path)
    header = csv_rows.header_of(path)
    of_run = {name: number for name, number in (("seed", seed), ("fold", fold)) if name in header}
    lines, (cells, scores, *others) = csv_rows.columns_of(path, ["client", "score", *of_run])
    values = _numbers(path, lines, scores, float)
    own = [True] * len(lines)
    for number, each in zip(of_run.values(), others, strict=True):
        own = [
            o and n == number for o, n in zip(own, _numbers(path, lines, each, int), strict=True)
        ]
    names = [*itertools.compress(map(from_csv_cell, cells), own)]
    found = dict(zip(names, itertools.compress(values, own), strict=True))
    if len(found) < len(names):
        number, client = first_repeated(names)
        line = [*itertools.compress(lines, own)][number]
        raise UserError(f"{path}, line {line}: client {client!r} is there twice")
    score_of = np.array([found.get(name, math.nan) for name in clients])
    if not np.isfinite(score_of).all():
        raise UserError(
            f"{path} has no finite score of client {clients[np.argmin(np.isfinite(score_of))]!r} "
            f"for seed {seed}{f', fold {fold}' if fold else ''}: add a line"
        )
    return score_of


def _numbers(
    path: pathlib.Path, lines: Sequence[int], cells: Sequence[str], kind: type[float] | type[int]
) -> list[float]:
    """Reads the numbers of a column."""
    try:
        return [kind(cell) for cell in cells]
    except ValueError:
        number = next(number for number, cell in enumerate(cells) if not _is(kind, cell))
        raise UserError(
            f"{path}, line {lines[number]}: a score must be a number, and a seed or fold an integer"
        ) from None


def _is(kind: type[float] | type[int], cell: str) -> bool:
    """Returns whether a cell is a number."""
    try:
        kind(cell)
    except ValueError:
        return False
    return True


def first_repeated(names: Sequence[str]) -> tuple[int, str]:
    """Returns the first name that was there before.

    Args:
      names: some of them are the same.

    Returns:
      Its second position, and the name.
    """
    seen: set[str] = set()
    for number, name in enumerate(names):
        if name in seen:
            return number, name
        seen.add(name)
    raise AssertionError


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
