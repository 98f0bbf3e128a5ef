"""The records of a run in one file that only grows: checkpoints name how much of it is theirs."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from hasa_jax.simulation.columns import from_json, to_json


class RecordFileError(Exception):
    """The file does not begin with what a checkpoint names."""


class Mark(NamedTuple):
    """A beginning of the file.

    Attributes:
      size: its bytes.
      sha256: their hash.
    """

    size: int
    sha256: str


class RecordFile:
    """One line of JSON for each evaluation of a run.

    Lines are appended and on the disk before a checkpoint names them, and never written again. So
    a checkpoint costs the records since the one before it. A run that goes on cuts off what no
    checkpoint names.

    Args:
      path: the file; it is made with the first line.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._size, self._hash, self._lines = 0, hashlib.sha256(), 0

    @property
    def path(self) -> Path:
        """The file."""
        return self._path

    def extend(self, record: Sequence[Any]) -> Mark:
        """Appends what is new in the record of a run.

        Args:
          record: all evaluations so far, of what JSON holds and `Columns`; it begins with those in
        the file.

        Returns:
          The mark of all of them.

        Raises:
          OSError: if it cannot be written; the file then still begins as before.
        """
        new = [json.dumps(entry, default=to_json) for entry in record[self._lines :]]
        lines = [f"{entry}\n".encode() for entry in new]
        if lines:
            with open(self._path, "r+b" if self._path.exists() else "w+b") as file:
                file.truncate(self._size)
                file.seek(self._size)
                file.writelines(lines)
                file.flush()
                os.fsync(file.fileno())
        for line in lines:
            self._hash.update(line)
            self._size += len(line)
        self._lines = len(record)
        return Mark(self._size, self._hash.hexdigest())

    def read(self, mark: Mark) -> list[Any]:
        """Reads the record up to a mark, and goes on from there.

        Args:
          mark: from a checkpoint.

        Returns:
          The evaluations.

        Raises:
          RecordFileError: if the file is shorter, or has other bytes.
        """
        if not mark.size and not self._path.exists():
            return []
        found, record = hashlib.sha256(), []
        with open(self._path, "rb") as file:
            for line in _lines_up_to(file, mark.size):
                found.update(line)
                record.append(line)
        size = sum(map(len, record))
        if (size, found.hexdigest()) != mark:
            raise RecordFileError(f"{self._path.name} does not hold the records that it names")
        self._size, self._hash, self._lines = size, found, len(record)
        # Parsed only now: what is damaged must not be.
        return [json.loads(line, object_hook=from_json) for line in record]


def _lines_up_to(file: BinaryIO, size: int) -> Iterator[bytes]:
    """Yields the lines of a file up to so many bytes, where a mark is the end of a line."""
    while (left := size - file.tell()) > 0 and (line := file.readline(left)):
        yield line
