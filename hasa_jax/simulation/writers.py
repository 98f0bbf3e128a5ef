"""Where the records of a run go: CSV files, JSON lines, TensorBoard, the console."""

from __future__ import annotations

import csv
import json
import os
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import IO, Any, Protocol

from hasa_jax.base import UserError

TABLES = ("metrics", "summary", "sizes", "timings")
"""What a run writes; equal runs write the same, but for timings."""


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

    `publish` turns the files into `<table>.csv`, so only a finished table
    replaces a finished one. Floats are written by `repr`, the shortest text that reads back to the
    same bits; columns named `*_seconds` are measurements, and get milliseconds.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        self._folder = folder
        self._files: dict[str, IO[str]] = {}

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Appends records; the first record of a table decides its columns."""
        if not records:
            return
        new = table not in self._files
        if new:
            path = self._folder / f"{table}.csv.partial"
            self._files[table] = path.open("w", encoding="utf-8", newline="")
        file = self._files[table]
        writer = csv.DictWriter(file, fieldnames=list(records[0]), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerows(
            {k: f"{v:.3f}" if k.endswith("_seconds") else v for k, v in row.items()}
            for row in records
        )
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


class JsonLinesWriter:
    """Appends every record, with its table's name, to one file as a line of JSON."""

    def __init__(self, path: pathlib.Path) -> None:
        self._file = path.open("w", encoding="utf-8")

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Appends records."""
        for row in records:
            self._file.write(json.dumps({"table": table, **row}) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


class TensorBoardWriter:
    """Writes summary numbers as TensorBoard scalars; needs the `tracking` extra."""

    def __init__(self, folder: pathlib.Path) -> None:
        try:
            import tensorboardX  # The extra is optional, so only its user pays for it.
        except ImportError:
            raise UserError(
                "TensorBoard events need tensorboardX: pip install 'hasa_jax[tracking]'"
            ) from None
        self._writer = tensorboardX.SummaryWriter(str(folder))

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Adds a scalar for each accuracy and second; records of clients are too many."""
        if table not in ("summary", "timings"):
            return
        for row in records:
            run = "/".join(str(row[k]) for k in ("policy", "aggregation", "seed") if k in row)
            for name, value in row.items():
                if name.endswith(("_accuracy", "_seconds")):
                    self._writer.add_scalar(f"{name}/{run}", value, row["round"])

    def close(self) -> None:
        """Flushes and closes the event file."""
        self._writer.close()


class ConsoleWriter:
    """Shows a progress bar with the current metrics on a terminal, plain lines elsewhere."""

    def __init__(self, total_rounds: int) -> None:
        import tqdm  # Only scripts show progress; importing the library should not load it.

        self._bar = tqdm.tqdm(total=total_rounds, unit="round", disable=not sys.stderr.isatty())
        self._rounds: dict[tuple[Any, ...], int] = {}

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Shows summary records; other tables are not for the console."""
        if table != "summary":
            return
        for row in records:
            run = (row.get("method"), row.get("policy"), row.get("seed"))
            previous = self._rounds.get(run, 0)
            self._rounds[run] = row["round"]
            text = (
                f"{run[0]} ({run[1]})  seed {run[2]}  round {row['round']}  "
                f"mean {row['mean_accuracy']:.2%}  worst {row['worst_accuracy']:.2%}  "
                f"tail {row['tail_accuracy']:.2%}"
            )
            if self._bar.disable:
                say(text)
            else:
                self._bar.set_postfix_str(text, refresh=False)
                self._bar.update(row["round"] - previous)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()


def say(text: str) -> None:
    """Prints a line; a closed pipe must not end the run.

    Args:
      text: the line.
    """
    try:
        print(text, flush=True)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
