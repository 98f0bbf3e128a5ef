"""Rows of CSV files, each with its line number for error messages."""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Iterator, Sequence

from hasa_jax.base import UserError


def named_columns(
    path: pathlib.Path, columns: Sequence[str]
) -> Iterator[tuple[int, tuple[str, ...]]]:
    """Yields the fields of some columns of a file that has a header.

    Args:
      path: a UTF-8 CSV file.
      columns: names of the columns in the header.

    Yields:
      The number of the first line of each row, and its fields in these columns.

    Raises:
      UserError: if the file, its header or a row is not valid, or if there are no rows.
    """
    rows = rows_of(path)
    _, header = next(rows, (0, []))
    if not header:
        raise UserError(f"{path} is empty: it needs a header and rows")
    positions = [_position(header, column, path) for column in columns]
    line = 0
    for line, row in rows:
        if len(row) != len(header):
            raise UserError(
                f"line {line} of {path}: {len(row)} columns where the header has {len(header)}; "
                "correct the row (a text with a comma must be quoted)"
            )
        yield line, tuple(row[position] for position in positions)
    if not line:
        raise UserError(f"{path} has a header but no rows: add rows")


def rows_of(path: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a file. Blank lines are not rows.

    Args:
      path: a UTF-8 CSV file.

    Yields:
      The number of the first line and the fields of every row, including the header.

    Raises:
      UserError: if the file cannot be read, or is not a CSV file.
    """
    text = _content(path)
    # With newline="", the csv module handles line breaks inside quoted fields.
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    line = 1
    try:
        for row in reader:
            if row:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"line {line} of {path} is not valid CSV ({error}): correct the quoting"
        ) from error


def _position(header: Sequence[str], column: str, path: pathlib.Path) -> int:
    """Returns the position of a column in the header."""
    if header.count(column) != 1:
        found = "twice or more" if column in header else "not there"
        raise UserError(f"column {column!r} is {found} in {path}: its columns are {list(header)}")
    return header.index(column)


def _content(path: pathlib.Path) -> str:
    """Reads a UTF-8 file, with or without a byte order mark."""
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
        # Newer csv modules accept NUL as a normal character.
        line = text[: text.index("\0")].count("\n") + 1
        raise UserError(f"line {line} of {path} has a NUL character: it is not a CSV text file")
    return text
