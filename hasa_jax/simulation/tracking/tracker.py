"""A writer that gives each run of a study a run of its own in a tracker."""

from __future__ import annotations

import dataclasses
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.paths import path_of
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.tracking.numbers import numbers_of, run_name
from hasa_jax.simulation.tracking.store import Parameter, Store, TrackedRun
from hasa_jax.simulation.writers import ARM

NAME = "runs.json"
"""File of the identity and the last round of each run, in the tracker's folder."""

_MOST_FAILURES = 3
"""So many failures in a row, and the tracker gets nothing more until the same command goes on."""

_MOST_LETTERS = 500
"""Of a parameter; trackers refuse longer ones."""


@dataclasses.dataclass
class _Run:
    """What is known of one run.

    Attributes:
      parameters: its configuration.
      identity: what the store opens it by; None before it is opened.
      round: the last round that the store has.
      waiting: rounds that it does not have yet, with their numbers.
      open: the run, while it is open.
    """

    parameters: Mapping[str, Parameter]
    identity: str | None = None
    round: int = 0
    waiting: list[tuple[int, dict[str, float]]] = dataclasses.field(default_factory=list)
    open: TrackedRun | None = None


class Tracker:
    """Gives the records of `summary` and `timings` to a tracker.

    Each arm has one run for each seed and fold. `<folder>/runs.json` says what the tracker calls
    it and which round it has, so a run that goes on adds to the same one and repeats no round. A
    tracker that fails never ends a run: the first failure is said, the rounds wait and are tried
    again, and `missed` counts what was never taken. The same command adds that later.

    Args:
      name: of the tracker.
      store: where it keeps its runs.
      folder: the tracker's folder; made if it is not there.
      parameters: the configuration, which all runs share; the columns of `writers.ARM` are added.
      num_rounds: rounds of a run, after which it is closed.
      say: prints a line.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        folder: pathlib.Path,
        parameters: Mapping[str, Any],
        num_rounds: int,
        say: Callable[[str], None],
    ) -> None:
        self._name, self._store, self._say = name, store, say
        self._path = path_of(folder) / NAME
        self._shared = {n: v for n, own in parameters.items() if (v := _parameter(own)) is not None}
        self._num_rounds = num_rounds
        self._known = _read(self._path)
        self._runs: dict[str, _Run] = {}
        self._summaries: dict[str, dict[str, float]] = {}
        self._in_a_row, self._why = 0, ""
        self._closed = False

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Takes a record for each run: `summary`, then `timings`; others are too many."""
        for record in records if table in ("summary", "timings") else ():
            name = run_name(record)
            numbers = {**self._summaries.pop(name, {}), **numbers_of(record)}
            if table == "summary":
                self._summaries[name] = numbers
                continue
            run = self._run(name, record)
            if record["round"] > run.round:
                run.waiting.append((record["round"], numbers))
                self._send(name, run)

    @property
    def missed(self) -> int:
        """How many evaluations the tracker has not taken."""
        return sum(len(run.waiting) for run in self._runs.values())

    def problems(self) -> dict[str, Any]:
        """Returns what run.json keeps: evaluations that were missed, and why; or nothing."""
        return {"missed": self.missed, "why": self._why} if self.missed else {}

    def close(self) -> None:
        """Tries what is missed once more, closes all runs, and says what is missed for good."""
        if self._closed:
            return
        self._closed = True
        for name, run in self._runs.items():
            if run.waiting:
                self._send(name, run)
        for run in self._runs.values():
            self._guarded(lambda run=run: _close(run))
        self._guarded(self._store.close)
        if self.missed:
            self._say(
                f"warning: {self._name} misses {self.missed} evaluations ({self._why}); the "
                "workdir's own files have them, and the same command adds them from checkpoints"
            )

    def _run(self, name: str, record: Mapping[str, Any]) -> _Run:
        """Returns a run, which an earlier process may have begun."""
        if name not in self._runs:
            of_arm = {n: v for n in ARM if (v := record.get(n)) is not None}
            known = self._known.get(name, {})
            run = _Run({**self._shared, **of_arm}, known.get("identity"), known.get("round", 0))
            self._runs[name] = run
            if run.identity is not None and run.round < self._num_rounds:
                # A process that was killed may have noted more than the store has.
                self._guarded(lambda: self._open(name, run))
        return self._runs[name]

    def _send(self, name: str, run: _Run) -> None:
        """Gives a run the rounds that wait, unless the tracker failed too often."""
        if self._in_a_row < _MOST_FAILURES:
            self._guarded(lambda: self._log(name, run))

    def _log(self, name: str, run: _Run) -> None:
        """Opens a run if it is not, and gives it the rounds that wait."""
        opened = run.open or self._open(name, run)
        while run.waiting:
            round, numbers = run.waiting[0]
            if round > run.round:
                opened.log(round, numbers)
                run.round = round
            run.waiting.pop(0)
        self._save(name, run)
        self._in_a_row = 0
        if run.round >= self._num_rounds:
            _close(run)

    def _open(self, name: str, run: _Run) -> TrackedRun:
        """Opens a run; where the store knows which round it has, it is right."""
        opened = self._store.open(self._path.parent, name, run.parameters, run.identity)
        run.open, run.identity = opened, opened.identity
        run.round = run.round if opened.last is None else opened.last
        self._save(name, run)
        return opened

    def _save(self, name: str, run: _Run) -> None:
        """Writes what the store calls a run, and which round it has."""
        self._known[name] = {"identity": run.identity, "round": run.round}
        self._path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self._path.with_name(f"{NAME}.new")
        check_files(self._path.parent, (NAME, temporary.name), "workdir")
        temporary.write_text(json.dumps(self._known, indent=2) + "\n", encoding="utf-8")
        temporary.replace(self._path)

    def _guarded(self, act: Callable[[], object]) -> None:
        """Acts; whatever a tracker raises ends no run."""
        try:
            act()
        except Exception as error:
            self._in_a_row += 1
            first, self._why = not self._why, one_line(error)
            if first:
                self._say(f"warning: {self._name} failed, and the run goes on ({self._why})")


def _close(run: _Run) -> None:
    """Closes a run if it is open."""
    if run.open is not None:
        opened, run.open = run.open, None
        opened.close()


def _read(path: pathlib.Path) -> dict[str, dict[str, Any]]:
    """Reads which runs an earlier process began; what cannot be read is begun again."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): {**own} for name, own in found.items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _parameter(value: Any) -> Parameter | None:
    """Returns a part of a configuration as trackers take it; None for one that is not given."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."
