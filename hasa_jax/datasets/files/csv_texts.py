"""The user's own labelled texts in one CSV file."""

from __future__ import annotations

import math
import pathlib
from collections.abc import Iterable

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.csv_rows import named_columns
from hasa_jax.datasets.next_word import clean
from hasa_jax.datasets.pool import Pool


def csv_texts(
    data_path: pathlib.Path,
    text_column: str = "text",
    label_column: str = "label",
    client_column: str | None = None,
) -> Pool:
    """Reads texts and their classes from a CSV file.

    HTML tags are removed, entities become characters, and spaces become single.

    Args:
      data_path: path of a UTF-8 CSV file with a header.
      text_column: column of the texts.
      label_column: column of the classes: texts or numbers. Classes are in the order of the numbers
        if all are numbers, in alphabetical order if not.
      client_column: column of the client of each text; clients are sorted as classes are. None if
        the file names no clients: a partition then makes them. No column has this meaning only by
        its name.

    Returns:
      Texts `[n]`, with one group per client and without a test set.

    Raises:
      UserError: if the file or one of its rows is not valid.
    """
    columns = [text_column, label_column] + ([client_column] if client_column else [])
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise UserError(f"column {twice[0]!r} is used for two arguments: name different columns")
    texts: list[str] = []
    named: list[list[str]] = [[] for _ in columns[1:]]
    for line, (text, *names) in named_columns(data_path, columns):
        plain = [clean(text), *(" ".join(name.split()) for name in names)]
        for column, found in zip(columns, plain, strict=True):
            if not found:
                raise UserError(
                    f"line {line} of {data_path}: column {column!r} is empty; fill it in or "
                    "remove the row"
                )
        texts.append(plain[0])
        for names_so_far, name in zip(named, plain[1:], strict=True):
            names_so_far.append(name)
    targets, classes = _positions(named[0], data_path, label_column, "class")
    groups, group_names = np.zeros(len(texts), np.int32), ("all",)
    if client_column:
        groups, group_names = _positions(named[1], data_path, client_column, "client")
    return Pool(
        inputs=np.array(texts, object),
        targets=targets,
        is_test=np.zeros(len(texts), bool),
        classes=classes,
        groups=groups,
        group_names=group_names,
    )


def _positions(
    names: list[str], path: pathlib.Path, column: str, what: str
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Returns the different names in order, and the position of each name in them `[n]`."""
    ordered = _ordered(set(names))
    if len(ordered) < 2:
        raise UserError(
            f"only one {what} ({names[0]!r}) in column {column!r} of {path}: there must be at "
            "least two"
        )
    positions = {name: position for position, name in enumerate(ordered)}
    return np.array([positions[name] for name in names], np.int32), tuple(ordered)


def _ordered(names: Iterable[str]) -> list[str]:
    """Sorts names, as numbers if all are numbers: 10 then comes after 9."""
    try:
        numbers = {name: float(name) for name in names}
    except ValueError:
        return sorted(names)
    if not all(map(math.isfinite, numbers.values())):
        return sorted(names)
    return sorted(numbers, key=lambda name: (numbers[name], name))
