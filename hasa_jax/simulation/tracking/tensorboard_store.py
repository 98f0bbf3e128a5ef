"""Runs as folders of TensorBoard events."""

from __future__ import annotations

import itertools
import pathlib
import time
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any

from hasa_jax.base import UserError
from hasa_jax.simulation.escapes import tag
from hasa_jax.simulation.tracking.package import tracker_package
from hasa_jax.simulation.tracking.store import Parameter


class TensorBoardStore:
    """Writes each run into a folder of its own, so that its curves are its own.

    Parameters go to TensorBoard's tab of hyperparameters. Numbers are float32 in it.

    Raises:
      UserError: if tensorboardX is missing.
    """

    def __init__(self) -> None:
        self._package = tracker_package(_tensorboardx, "tensorboard", "tracking")

    def open(
        self,
        folder: pathlib.Path,
        name: str,
        parameters: Mapping[str, Parameter],
        identity: str | None,
    ) -> _TensorBoardRun:
        """Opens a run; one that goes on gets a further file of events.

        A new one gets a folder without rounds, whose name has a number if there is one with rounds.
        """
        if identity is not None:
            if identity in ("", "..") or identity != pathlib.PurePath(identity).name:
                raise UserError(f"{identity!r} is no folder of its own: remove runs.json")
            return _TensorBoardRun(self._package, folder / identity, parameters, new=False)
        own = ".".join(map(tag, name.split(" ")))
        folders = (folder / (own if n == 1 else f"{own}.{n}") for n in itertools.count(1))
        unused = next(path for path in folders if not _last(self._package, path))
        return _TensorBoardRun(self._package, unused, parameters, new=True)

    def close(self) -> None:
        """Holds nothing."""


class _TensorBoardRun:
    """A folder of events; what is logged is in the file when `log` returns."""

    def __init__(
        self,
        package: ModuleType,
        folder: pathlib.Path,
        parameters: Mapping[str, Parameter],
        *,
        new: bool,
    ) -> None:
        self._package, self.identity = package, folder.name
        folder.mkdir(parents=True, exist_ok=True)
        self.last, files = _last(package, folder), _files(folder)
        # The package's other writer has a thread, in which a full disk would be lost. Of files of
        # one second, the number keeps the second from taking the place of the first.
        writer = package.event_file_writer.EventsWriter
        self._file = writer(str(folder / "events"), filename_suffix=f".{len(files)}")
        if new or not files:
            self._write(0, package.summary.hparams(dict(parameters), {"accuracy/mean": 0.0}))

    def log(self, round: int, numbers: Mapping[str, float]) -> None:
        """Adds a scalar for each number."""
        scalar = self._package.summary.scalar
        self._write(round, [scalar(name, value) for name, value in numbers.items()])

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, step: int, summaries: Any) -> None:
        """Writes an event for each summary."""
        event = self._package.proto.event_pb2.Event
        for own in summaries:
            self._file.write_event(event(wall_time=time.time(), step=step, summary=own))
        self._file.flush()


def _tensorboardx() -> ModuleType:
    """Imports tensorboardX, and the modules of it that are used."""
    import tensorboardX  # The extra is optional, so only its user pays for it.
    import tensorboardX.event_file_writer
    import tensorboardX.proto.event_pb2
    import tensorboardX.summary

    return tensorboardX


def _files(folder: pathlib.Path) -> list[pathlib.Path]:
    """Returns the files of events of a folder, if it is there."""
    return sorted(folder.glob("*tfevents*"))


def _last(package: ModuleType, folder: pathlib.Path) -> int:
    """Returns the last round of a folder; 0 without one."""
    steps = (event.step for path in _files(folder) for event in _events(package, path))
    return max(steps, default=0)


def _events(package: ModuleType, path: pathlib.Path) -> Iterator[Any]:
    """Yields the events of a file, up to one that was never finished."""
    content, at = path.read_bytes(), 0
    while at + 12 <= len(content):  # Length, its checksum, the event, its checksum.
        length = int.from_bytes(content[at : at + 8], "little")
        if at + 16 + length > len(content):
            return
        yield package.proto.event_pb2.Event.FromString(content[at + 12 : at + 12 + length])
        at += 16 + length
