"""What shows a run while it lasts: files, the console, and trackers."""

from __future__ import annotations

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.config import RunConfig
from experiments.study.manifest import recorded
from hasa_jax.execution import processes
from hasa_jax.simulation.console import ConsoleWriter
from hasa_jax.simulation.run import unseen
from hasa_jax.simulation.tracking import STORES, Tracker
from hasa_jax.simulation.tracking.store import Store
from hasa_jax.simulation.writers import CsvWriter, Writer, say


@dataclasses.dataclass(frozen=True)
class Live:
    """What takes the records of a study as they come; of several processes, the first has it.

    Attributes:
      writers: files, the console, and trackers.
      trackers: the trackers among them, by name.
      begin: gets the arm that runs now.
      phase: gets what the run does next.
    """

    writers: Sequence[Writer] = ()
    trackers: Mapping[str, Tracker] = dataclasses.field(default_factory=dict)
    begin: Callable[[str], None] = unseen
    phase: Callable[[str], None] = unseen

    def close(self) -> None:
        """Closes everything, also what comes after something that fails."""
        with contextlib.ExitStack() as stack:
            for writer in reversed(self.writers):
                stack.callback(writer.close)

    def identify(self, settings: Mapping[str, str]) -> None:
        """Says to trackers what decides the numbers of the runs that follow.

        Args:
          settings: a digest of it, by the name of the run.
        """
        for tracker in self.trackers.values():
            tracker.identify(settings)

    def problems(self) -> dict[str, dict[str, Any]]:
        """Returns what trackers missed or began again, by their names, once all is closed."""
        found = {name: tracker.problems() for name, tracker in self.trackers.items()}
        return {name: own for name, own in found.items() if own}


def stores_of(config: RunConfig) -> dict[str, Store]:
    """Returns what the trackers write to; a missing package is refused before anything runs.

    Args:
      config: names the trackers; `csv` are the workdir's own files, which are always written.

    Raises:
      UserError: naming the command that installs the package.
    """
    if not processes.is_first():
        return {}
    return {
        name: STORES[name]() for name in dict.fromkeys(config.reporting.tracker) if name != "csv"
    }


def live_of(
    config: RunConfig,
    folder: pathlib.Path,
    files: CsvWriter,
    stores: Mapping[str, Store],
    runs: int,
) -> Live:
    """Makes what shows a study.

    Args:
      config: the configuration.
      folder: the workdir.
      files: its tables.
      stores: from `stores_of`.
      runs: how many runs there are: arms times seeds and folds.

    Returns:
      All of it, or nothing in a process that is not the first.
    """
    if not processes.is_first():
        return Live()
    rounds = config.training.num_rounds
    evaluations = runs * -(-rounds // config.reporting.eval_every)
    console = ConsoleWriter(runs * rounds, evaluations, config.allocation.budget_unit)
    shared = {name: v for room in recorded(config).values() for name, v in room.items()}
    trackers = {
        name: Tracker(name, store, folder / name, shared, rounds, say)
        for name, store in stores.items()
    }
    # The console is last, so that opening a tracker's run is no part of the pace.
    writers = [files, *trackers.values(), console]
    return Live(writers, trackers, console.begin, console.phase)
