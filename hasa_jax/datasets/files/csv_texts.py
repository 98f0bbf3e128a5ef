"""The user's own labelled texts in one CSV file."""

from __future__ import annotations

import pathlib
from collections.abc import Iterable

import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.csv_rows import settle, table_of
from hasa_jax.datasets.names import joined_note, number_of, plain_name, spellings
from hasa_jax.datasets.next_word import clean
from hasa_jax.datasets.paths import shown
from hasa_jax.datasets.pool import Pool


def csv_texts(
    data_path: pathlib.Path,
    text_column: str = "text",
    label_column: str = "label",
    client_column: str | None = None,
    bad_rows: str = "refuse",
) -> Pool:
    """Reads texts and their classes from a CSV file.

    HTML tags are removed, entities become characters, and spaces become single.

    Args:
      data_path: path of a CSV file with a header, in UTF-8 or with a byte order mark. Commas,
        semicolons, tabs or vertical bars separate fields.
      text_column: column of the texts.
      label_column: column of the classes: texts or numbers. Classes are in the order of the numbers
        if all are numbers, in alphabetical order if not. Equal numbers, such as 1 and 1.0, are one
        class.
      client_column: column of the client of each text; clients are sorted as classes are. None if
        the file names no clients: a partition then makes them. No column has this meaning only by
        its name.
      bad_rows: `refuse` rows that cannot be used; or `skip` them, and clients with too few texts
        for the partition, with a count in the notes.

    Returns:
      Texts `[n]`, with one group per client and without a test set.

    Raises:
      UserError: if the file or one of its rows is not valid.
    """
    columns = [text_column, label_column] + ([client_column] if client_column else [])
    twice = [column for column in columns if columns.count(column) > 1]
    if twice:
        raise UserError(f"column {twice[0]!r} is used for two arguments: name different columns")
    table = table_of(data_path, columns)
    texts: list[str] = []
    named: list[list[str]] = [[] for _ in columns[1:]]
    bad = list(table.bad)
    for line, (text, *names) in table.rows:
        plain = [clean(text), *(plain_name(name) for name in names)]
        empty = [column for column, found in zip(columns, plain, strict=True) if not found]
        if empty:
            bad.append((line, f"column {empty[0]!r} is empty; fill it in or remove the row"))
            continue
        texts.append(plain[0])
        for names_so_far, name in zip(named, names, strict=True):
            names_so_far.append(name)
    notes = settle(data_path, table, bad, bad_rows)
    targets, classes, joined = _positions(named[0], data_path, label_column, "class")
    notes += joined
    groups, group_names = np.zeros(len(texts), np.int32), ("all",)
    if client_column:
        groups, group_names, joined = _positions(named[1], data_path, client_column, "client")
        notes += joined
    return Pool(
        inputs=np.array(texts, object),
        targets=targets,
        is_test=np.zeros(len(texts), bool),
        classes=classes,
        groups=groups,
        group_names=group_names,
        notes=notes,
        skips_small_groups=bad_rows == "skip",
    )


def _positions(
    names: list[str], path: pathlib.Path, column: str, what: str
) -> tuple[np.ndarray, tuple[str, ...], tuple[str, ...]]:
    """Returns the position of each name `[n]`, the different names in order, and notes."""
    spelled = spellings(set(names))
    ordered = _ordered(set(spelled.values()))
    if len(ordered) < 2:
        raise UserError(
            f"only one {what} ({ordered[0]!r}) in column {column!r} of {shown(path)}: there must "
            "be at least two"
        )
    position = {name: index for index, name in enumerate(ordered)}
    found = np.array([position[spelled[name]] for name in names], np.int32)
    return found, tuple(ordered), joined_note(spelled, f"column {column!r}")


def _ordered(names: Iterable[str]) -> list[str]:
    """Sorts names, as numbers if all are numbers: 10 then comes after 9."""
    numbers = {name: number_of(name) for name in names}
    if any(number is None for number in numbers.values()):
        return sorted(numbers)
    return sorted(numbers, key=lambda name: (numbers[name], name))
