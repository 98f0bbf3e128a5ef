"""Where the records of a run go: CSV files and JSON lines; and lines for the console."""

from __future__ import annotations

import contextlib
import csv
import errno
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import IO, Any, Protocol

from hasa_jax.datasets.paths import path_of
from hasa_jax.simulation.columns import Column, Columns, Named
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.escapes import csv_cell, terminal

TABLES = ("metrics", "summary", "sizes", "measured", "timings")
"""What a run writes; equal runs write the same, but for timings."""

ARM = ("method", "policy", "extraction", "aggregation", "seed", "fold")
"""Columns that set the runs of a study apart."""


class Writer(Protocol):
    """Takes the records of a run as they come."""

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Appends records to a table, one of `TABLES`."""
        ...

    def close(self) -> None:
        """Flushes and releases what the writer holds."""
        ...


class CsvWriter:
    """Writes each table to `<folder>/<table>.csv.partial`, a header first, flushed every time.

    The folder is made if it is not there; where a link or a pipe has the name of a file, the table
    is refused. `publish` turns the files into `<table>.csv`, so only a finished table replaces a
    finished one. Floats are written by `repr`, the shortest text that
    reads back to the same bits; columns named `*_seconds` are measurements, and get milliseconds.
    Texts are written by `escapes.csv_cell`, which `escapes.from_csv_cell` reads back: nothing in
    them is a formula or controls a terminal.
    """

    def __init__(self, folder: str | os.PathLike[str]) -> None:
        self._folder = path_of(folder)
        self._files: dict[str, IO[str]] = {}

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Appends records; the first record of a table decides its columns."""
        if not records:
            return
        new = table not in self._files
        if new:
            self._folder.mkdir(parents=True, exist_ok=True)
            path = self._folder / f"{table}.csv.partial"
            check_files(self._folder, (path.name, f"{table}.csv"), "folder")
            self._files[table] = path.open("w", encoding="utf-8", newline="")
        file = self._files[table]
        writer = csv.writer(file, lineterminator="\n")
        if new:
            writer.writerow(records[0])
        writer.writerows(_lines(records))
        file.flush()

    def publish(self) -> None:
        """Closes the files and gives them their final names, once they are on the disk."""
        tables = list(self._files)
        for file in self._files.values():
            os.fsync(file.fileno())
        self.close()
        for table in tables:
            partial = self._folder / f"{table}.csv.partial"
            partial.replace(self._folder / f"{table}.csv")

    def close(self) -> None:
        """Closes the files."""
        for file in self._files.values():
            file.close()
        self._files = {}


def _lines(records: Sequence[Mapping[str, Any]]) -> Iterator[Iterable[Any]]:
    """Yields the cells of every record; many clients are columns, and need no dict each."""
    if not isinstance(records, Columns):
        names = list(records[0])
        yield from ([_cell(name, record[name]) for name in names] for record in records)
        return
    for block in records.blocks:
        lists = zip(block.columns.values(), block.lists(), strict=True)
        yield from zip(*(_column(column, values) for column, values in lists), strict=True)


def _column(column: Column, values: list[Any]) -> Iterable[Any]:
    """Returns the cells of a column of many clients."""
    if isinstance(column, str):
        return itertools.repeat(csv_cell(column), len(values))
    return map(csv_cell, values) if isinstance(column, Named) else values


def _cell(column: str, value: Any) -> Any:
    """Returns what a CSV file holds of a value."""
    if isinstance(value, str):
        return csv_cell(value)
    return f"{value:.3f}" if column.endswith("_seconds") else value


class JsonLinesWriter:
    """Appends every record, with its table's name, to one file as a line of JSON."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._file = path_of(path).open("w", encoding="utf-8")

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Appends records."""
        for row in records:
            self._file.write(json.dumps({"table": table, **row}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def say(text: str) -> None:
    """Prints a line above a progress bar; a closed pipe or terminal must not end the run.

    Args:
      text: the line.
    """
    try:
        with _bars_away():
            print(terminal(text), flush=True)
    except OSError as error:
        if error.errno not in (errno.EPIPE, errno.EIO):
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _bars_away() -> contextlib.AbstractContextManager[None]:
    """Takes progress bars off the terminal for a while, if there are any."""
    # Only scripts show progress; importing the library should not load it.
    bars = sys.modules.get("tqdm")
    if bars is None or not getattr(bars.tqdm, "_instances", ()):
        return contextlib.nullcontext()
    return bars.tqdm.external_write_mode(file=sys.stdout)
