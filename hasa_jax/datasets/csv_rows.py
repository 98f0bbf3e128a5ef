"""Rows of CSV files, each with its line number for error messages."""

from __future__ import annotations

import codecs
import csv
import dataclasses
import io
import os
import pathlib
import re
from collections.abc import Iterator, Sequence

from hasa_jax.base import UserError
from hasa_jax.datasets.messages import first_of
from hasa_jax.datasets.paths import content_of, path_of, shown

Row = tuple[int, tuple[str, ...]]
"""The number of the first line of a row, and its fields."""

BAD_ROWS = ("refuse", "skip")
"""What happens to rows that cannot be used."""

_SEPARATORS = (",", ";", "\t", "|")
_SEP_LINE = re.compile(r'"?sep=(.)"?,*(?:\r\n|\r|\n)', re.IGNORECASE)
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MOST_ROWS = 3


@dataclasses.dataclass(frozen=True)
class Table:
    """Some columns of a file.

    Attributes:
      rows: rows with a field in every column of the header; only the fields asked for.
      bad: line and reason of each other row.
    """

    rows: tuple[Row, ...]
    bad: tuple[tuple[int, str], ...]


def named_columns(path: str | os.PathLike[str], columns: Sequence[str]) -> Iterator[Row]:
    """Yields the fields of some columns of a file that has a header.

    Args:
      path: a CSV file, as for `table_of`.
      columns: names of the columns in the header.

    Yields:
      The number of the first line of each row, and its fields in these columns.

    Raises:
      UserError: if the file, its header or a row is not valid, or if there are no rows.
    """
    table = table_of(path, columns)
    settle(path, table, table.bad, "refuse")
    yield from table.rows


def columns_of(
    path: str | os.PathLike[str], columns: Sequence[str]
) -> tuple[list[int], list[list[str]]]:
    """Reads some columns of a file that has a header and maybe a million rows.

    Args:
      path: a CSV file, as for `table_of`.
      columns: names of the columns in the header.

    Returns:
      The number of the first line of each row, and the fields of each column.

    Raises:
      UserError: if the file, its header or a row is not valid, or if there are no rows.
    """
    parsed = _parsed(path_of(path), columns)
    width = len(parsed[0][1]) if parsed else 0
    if len(parsed) < 2 or any(len(row) != width for _, row in parsed):
        settle(path, table := table_of(path, columns), table.bad, "refuse")
    header, rows = parsed[0][1], parsed[1:]
    positions = [_position(_plain(header), column, path_of(path)) for column in columns]
    return [line for line, _ in rows], [[row[place] for _, row in rows] for place in positions]


def header_of(path: str | os.PathLike[str], columns: Sequence[str] = ()) -> list[str]:
    """Returns the names in the first row of a file, without spaces around them.

    Args:
      path: a CSV file, as for `table_of`.
      columns: names that the header must have, which decide the separator.

    Returns:
      The names; none for an empty file.

    Raises:
      UserError: if the file cannot be read.
    """
    text = _text_of(path_of(path))
    named = _SEP_LINE.match(text)
    text = text[named.end() :] if named else text
    separator = named[1] if named else _separator(text, columns)
    spaced = bool(columns) and _is_spaced(_header(text, separator, spaced=False))
    return _plain(_header(text, separator, spaced=spaced))


def table_of(path: str | os.PathLike[str], columns: Sequence[str]) -> Table:
    """Reads some columns of a file that has a header.

    Fields are separated by commas, semicolons, tabs or vertical bars: by what gives the header all
    columns, the comma first. A first line such as `sep=;` of Excel decides it. Spaces around names
    in the header do not count.

    Args:
      path: a CSV file in UTF-8, or in UTF-16 or UTF-32 with a byte order mark, with any line ends.
      columns: names of the columns in the header.

    Returns:
      The table.

    Raises:
      UserError: if the file or its header is not valid, or if there are no rows.
    """
    path = path_of(path)
    (_, header), *rows = _parsed(path, columns) or [(0, [])]
    if not header:
        raise UserError(f"{shown(path)} is empty: it needs a header and rows")
    positions = [_position(_plain(header), column, path) for column in columns]
    if not rows:
        raise UserError(f"{shown(path)} has a header but no rows: add rows")
    good, bad = [], []
    for line, row in rows:
        if len(row) == len(header):
            good.append((line, tuple(row[position] for position in positions)))
        else:
            why = "correct the row (a text with a separator must be quoted)"
            if len(row) < len(header):
                why = "the row is short; fill it up with separators"
            found = f"{len(row)} columns where the header has {len(header)}"
            bad.append((line, f"{found}; {why}"))
    return Table(tuple(good), tuple(bad))


def settle(
    path: str | os.PathLike[str], table: Table, bad: Sequence[tuple[int, str]], bad_rows: str
) -> tuple[str, ...]:
    """Refuses rows that cannot be used, or counts them.

    Args:
      path: the file.
      table: its rows.
      bad: line and reason of each row that cannot be used.
      bad_rows: `refuse` or `skip`.

    Returns:
      Notes: one line if there are such rows, nothing if not.

    Raises:
      UserError: if there are such rows and `bad_rows` is `refuse`, or if no row is left. The
        message has their number and the first few.
    """
    if bad_rows not in BAD_ROWS:
        raise UserError(f"`bad_rows` is {bad_rows!r}: use one of {', '.join(BAD_ROWS)}")
    if not bad:
        return ()
    total, name, bad = len(table.rows) + len(table.bad), shown(path), sorted(bad)
    if len(bad) == 1 and bad_rows == "refuse":
        raise UserError(f"line {bad[0][0]} of {name}: {bad[0][1]}")
    first = ", ".join(f"line {line} ({why})" for line, why in bad[:_MOST_ROWS])
    more = f" and {len(bad) - _MOST_ROWS} more" if len(bad) > _MOST_ROWS else ""
    found = f"{len(bad)} of {total} rows of {name} cannot be used: {first}{more}"
    if bad_rows == "refuse" or len(bad) == total:
        raise UserError(f"{found}; correct or remove them, or set `bad_rows` to skip")
    return (f"{len(bad)} of {total} rows of {name} were skipped: {first}{more}",)


def rows_of(path: str | os.PathLike[str]) -> Iterator[tuple[int, list[str]]]:
    """Yields the rows of a file. Blank lines are not rows.

    Args:
      path: a CSV file, as for `table_of`. Its separator is the first of comma, semicolon, tab and
        vertical bar that its first row has.

    Yields:
      The number of the first line and the fields of every row, including the header.

    Raises:
      UserError: if the file cannot be read, or is not a CSV file.
    """
    yield from _parsed(path_of(path), ())


def _parsed(path: pathlib.Path, columns: Sequence[str]) -> list[tuple[int, list[str]]]:
    """Returns line and fields of all rows, including the header."""
    text, line = _text_of(path), 1
    named = _SEP_LINE.match(text)
    if named:
        text, line = text[named.end() :], 2
    separator = named[1] if named else _separator(text, columns)
    spaced = bool(columns) and _is_spaced(_header(text, separator, spaced=False))
    rows: list[tuple[int, list[str]]] = []
    usual = csv.field_size_limit()
    # The limit of the module is for all readers, so it is put back.
    csv.field_size_limit(max(usual, len(text)))
    try:
        before = line - 1
        # With newline="", the csv module handles line breaks inside quoted fields.
        lines = io.StringIO(text, newline="")
        reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=spaced)
        for row in reader:
            if row:
                rows.append((line, row))
            line = before + reader.line_num + 1
    except csv.Error as error:
        raise UserError(
            f"line {line} of {shown(path)} is not valid CSV ({error}): correct the quoting"
        ) from error
    finally:
        csv.field_size_limit(usual)
    return rows


def _separator(text: str, columns: Sequence[str]) -> str:
    """Returns the separator that gives the first row all columns, or else several fields."""
    headers = {each: _header(text, each, spaced=False) for each in _SEPARATORS}
    for separator, header in headers.items():
        if columns and _is_spaced(header):
            header = _header(text, separator, spaced=True)
        if columns and set(columns) <= set(_plain(header)):
            return separator
    return next((each for each, header in headers.items() if len(header) > 1), ",")


def _header(text: str, separator: str, *, spaced: bool) -> list[str]:
    """Returns the fields of the first row for a separator; none if it is not valid."""
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, strict=True, skipinitialspace=spaced)
    try:
        return next((row for row in reader if row), [])
    except csv.Error:
        return []


def _is_spaced(header: Sequence[str]) -> bool:
    """Returns whether separators of a header are followed by spaces."""
    return any(name.startswith(" ") for name in header[1:])


def _plain(header: Sequence[str]) -> list[str]:
    """Returns the names of a header without spaces around them."""
    return [name.strip() for name in header]


def _position(header: Sequence[str], column: str, path: pathlib.Path) -> int:
    """Returns the position of a column in the header."""
    if header.count(column) != 1:
        found = "twice or more" if column in header else "not there"
        raise UserError(
            f"column {column!r} is {found} in {shown(path)}: its columns are {first_of(header)}"
        )
    return header.index(column)


def _text_of(path: pathlib.Path) -> str:
    """Reads a text file; a byte order mark decides its encoding, which is UTF-8 without one."""
    content, name = content_of(path, "a CSV file"), shown(path)
    encoding = next((found for mark, found in _MARKS if content.startswith(mark)), "utf-8-sig")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        # The codec of marked UTF-8 has removed the mark from what it could not decode.
        own = "utf-8" if encoding == "utf-8-sig" else encoding
        before = error.object[: error.start].decode(own, "ignore")
        line = len(re.findall(r"\r\n|\r|\n", before)) + 1
        kind = encoding.upper().removesuffix("-SIG")
        raise UserError(f"line {line} of {name} is not {kind}: save the file as UTF-8") from error
    if "\0" in text:
        # Newer csv modules accept NUL as a normal character.
        line = text[: text.index("\0")].count("\n") + 1
        raise UserError(f"line {line} of {name} has a NUL character: it is not a CSV text file")
    return text
