"""What a tracker is to a run: a store that opens tracked runs and takes their numbers."""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from typing import Protocol

Parameter = str | int | float | bool
"""A part of a configuration, as all trackers take it."""


class TrackedRun(Protocol):
    """One run of a tracker: one arm on one seed, or on one fold of it."""

    @property
    def identity(self) -> str:
        """What the store opens the run again by."""
        ...

    @property
    def last(self) -> int | None:
        """The last round whose numbers the store has, 0 without one; None if it is not known."""
        ...

    def log(self, round: int, numbers: Mapping[str, float]) -> None:
        """Adds the numbers after a round, and leaves nothing to a later call."""
        ...

    def close(self) -> None:
        """Releases what the run holds; it can be opened again."""
        ...


class Store(Protocol):
    """Where a tracker keeps its runs; making one imports the tracker's package."""

    def open(
        self,
        folder: pathlib.Path,
        name: str,
        parameters: Mapping[str, Parameter],
        identity: str | None,
    ) -> TrackedRun:
        """Opens a run.

        Args:
          folder: where the tracker's files go; all runs of a store have the same.
          name: of the run.
          parameters: its configuration.
          identity: that of a run which goes on; None for a new one.
        """
        ...

    def close(self) -> None:
        """Releases what the store holds; no process of it is left."""
        ...
