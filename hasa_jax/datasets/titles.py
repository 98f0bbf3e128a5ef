"""Titles from a CSV file, one client a publication (or any other column)."""

from __future__ import annotations

import csv
import io
import os
import pathlib
from collections.abc import Iterator, Sequence

import jax

from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.datasets.next_word import build, tokenize


def titles(
    key: jax.Array,
    *,
    data_path: str | os.PathLike[str],
    text_column: str = "title",
    client_column: str = "publication",
    vocab_size: int = 0,
    min_count: int = 2,
    max_length: int = 16,
) -> FederatedDataset:
    """Builds next-word prediction from a CSV file; see `next_word.build` for the arrays.

    Args:
      key: root key of the run; it is not consumed.
      data_path: a UTF-8 CSV file with a header.
      text_column: column of the texts.
      client_column: column of the client names.
      vocab_size: most words in the vocabulary; 0 means no limit.
      min_count: training occurrences that a word needs to be in the vocabulary.
      max_length: predictions kept of a title, `T`.

    Returns:
      The dataset: inputs and targets `[D, T]`, clients in alphabetical order.

    Raises:
      UserError: if the file or a row of it cannot be used.
    """
    texts = read_titles(data_path, text_column, client_column)
    dataset, _ = build(
        texts, key, vocab_size=vocab_size, min_count=min_count, max_length=max_length
    )
    return dataset


def read_titles(
    data_path: str | os.PathLike[str],
    text_column: str = "title",
    client_column: str = "publication",
) -> dict[str, list[list[str]]]:
    """Reads and tokenises the titles of every client.

    A title of a single word is legal but holds no next word: it is left out here, before the
    split, so that every example has a target.

    Args:
      data_path: a UTF-8 CSV file with a header.
      text_column: column of the texts.
      client_column: column of the client names.

    Returns:
      Words of each title in file order, by client name. Clients are in alphabetical order, so
      that how a file mixes its clients' rows does not matter.

    Raises:
      UserError: if the file or a row of it cannot be used.
    """
    path = pathlib.Path(data_path)
    rows = _rows(path)
    _, header = next(rows, (0, []))
    if not header:
        raise UserError(f"{path} is empty: it needs a header and rows")
    text_at, client_at = (
        _position(header, column, path) for column in (text_column, client_column)
    )
    clients: dict[str, list[list[str]]] = {}
    for line, row in rows:
        where = f"line {line} of {path}"
        if len(row) != len(header):
            raise UserError(
                f"{where}: {len(row)} columns where the header has {len(header)}; "
                "correct the row (a text with a comma must be quoted)"
            )
        name = " ".join(row[client_at].split())
        if not name:
            raise UserError(
                f"{where}: column {client_column!r} names no client; fill it in or remove the row"
            )
        words = tokenize(row[text_at])
        if not words:
            raise UserError(
                f"{where}: column {text_column!r} holds no word of a-z or 0-9; "
                "remove the row or correct it"
            )
        # The client stays known even if no title of it is usable: the split then names it.
        usable = clients.setdefault(name, [])
        if len(words) > 1:
            usable.append(words)
    if not clients:
        raise UserError(f"{path} has a header but no rows: add rows")
    if len(clients) == 1:
        raise UserError(
            f"only one client ({next(iter(clients))!r}) in column {client_column!r} of {path}: "
            "federated learning needs at least two"
        )
    return dict(sorted(clients.items()))


def _position(header: Sequence[str], column: str, path: pathlib.Path) -> int:
    """Returns where a column is."""
    if header.count(column) != 1:
        found = "twice or more" if column in header else "not there"
        raise UserError(f"column {column!r} is {found} in {path}: its columns are {list(header)}")
    return header.index(column)


def _rows(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the first line number and the fields of every row, the header included."""
    text = _text(path)
    # newline="" leaves line breaks inside quoted fields to the csv module.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in reader:
            if row:  # A blank line is no row.
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"line {line} of {path} is not valid CSV ({error}): correct the quoting"
        ) from error


def _text(path: pathlib.Path) -> str:
    """Reads a whole UTF-8 file, with or without a byte order mark."""
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError as error:
        raise UserError(f"{path} does not exist: give the path of a CSV file") from error
    except IsADirectoryError as error:
        raise UserError(f"{path} is a directory: give the path of a CSV file") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}): check the file") from error
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise UserError(f"line {line} of {path} is not UTF-8: save the file as UTF-8") from error
    if "\0" in text:
        # Newer csv modules take NUL for a character like any other.
        line = text[: text.index("\0")].count("\n") + 1
        raise UserError(f"line {line} of {path} holds a NUL character: it is not a CSV text file")
    return text
