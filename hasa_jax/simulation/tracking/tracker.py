"""A writer that gives each run of a study a run of its own in a tracker."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hasa_jax.datasets.messages import one_line
from hasa_jax.datasets.paths import path_of, shown
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.tracking.numbers import numbers_of, run_name
from hasa_jax.simulation.tracking.store import Parameter, Store, TrackedRun
from hasa_jax.simulation.writers import ARM

NAME = "runs.json"
"""File of what is known of each run, in the tracker's folder."""

_OTHER_SETTINGS = "of other settings or data"
_OTHER_START = "of an earlier start, and this one is from round 0"

_MOST_FAILURES = 3
"""So many failures in a row, and the tracker gets nothing more until the same command goes on."""

_MOST_LETTERS = 500
"""Of a parameter; trackers refuse longer ones."""


@dataclasses.dataclass
class _Run:
    """What is known of one run.

    Attributes:
      parameters: its configuration.
      settings: digest of what decides its numbers.
      start: digest of its first evaluation; one that goes on has the same, and another start has
        other seconds.
      identity: what the store opens it by; None before it is opened.
      round: the last round that the store has.
      earlier: tracked runs of the same name that it does not go on with, as `runs.json` has them.
      waiting: rounds that it does not have yet, with their numbers.
      open: the run, while it is open.
    """

    parameters: Mapping[str, Parameter]
    settings: str
    start: str
    identity: str | None = None
    round: int = 0
    earlier: Sequence[Mapping[str, Any]] = ()
    waiting: list[tuple[int, dict[str, float]]] = dataclasses.field(default_factory=list)
    open: TrackedRun | None = None


class Tracker:
    """Gives the records of `summary` and `timings` to a tracker.

    Each arm has one run for each seed and fold. `<folder>/runs.json` says what the tracker calls
    it, what decides its numbers, how it began and which round it has, so a run that goes on adds to
    the same one and repeats no round. A run of other settings or data, or one that begins once
    more, gets a tracked run of its own beside the earlier one, and a line says so. A
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
        self._known, damaged = _read(self._path)
        if damaged:
            say(f"{name}: {shown(self._path)} is damaged, so all tracked runs are new ones")
        self._settings: dict[str, str] = {}
        self._again = 0
        self._runs: dict[str, _Run] = {}
        self._summaries: dict[str, dict[str, float]] = {}
        self._in_a_row, self._why = 0, ""
        self._closed = False

    def identify(self, settings: Mapping[str, str]) -> None:
        """Takes what decides the numbers of runs that follow.

        Args:
          settings: a digest of it, by the name of the run (`numbers.run_name`).
        """
        self._settings.update(settings)

    def write(self, table: str, records: Sequence[Mapping[str, Any]]) -> None:
        """Takes a record for each run: `summary`, then `timings`; others are too many."""
        for record in records if table in ("summary", "timings") else ():
            name = run_name(record)
            numbers = {**self._summaries.pop(name, {}), **numbers_of(record)}
            if table == "summary":
                self._summaries[name] = numbers
                continue
            run = self._run(name, record, numbers)
            if record["round"] > run.round:
                run.waiting.append((record["round"], numbers))
                self._send(name, run)

    @property
    def missed(self) -> int:
        """How many evaluations the tracker has not taken."""
        return sum(len(run.waiting) for run in self._runs.values())

    def problems(self) -> dict[str, Any]:
        """Returns what run.json keeps, or nothing.

        Returns:
          `missed`, the evaluations that the tracker has not taken, and `why`; and `beside_earlier`,
          the runs that have an earlier one of their name.
        """
        missed = {"missed": self.missed, "why": self._why} if self.missed else {}
        beside = sum(bool(run.earlier) for run in self._runs.values())
        return {**missed, **({"beside_earlier": beside} if beside else {})}

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
        if self._again > 1:
            self._say(f"{self._name}: {self._again} runs began beside earlier ones of their names")
        if self.missed:
            self._say(
                f"warning: {self._name} misses {self.missed} evaluations ({self._why}); the "
                "workdir's own files have them, and the same command adds them from checkpoints"
            )

    def _run(self, name: str, record: Mapping[str, Any], numbers: Mapping[str, float]) -> _Run:
        """Returns a run, which an earlier process may have begun; the record is its first one."""
        if name not in self._runs:
            of_arm = {n: v for n in ARM if (v := record.get(n)) is not None}
            known = self._known.get(name, {})
            run = _Run(
                {**self._shared, **of_arm},
                self._settings.get(name, ""),
                _digest([int(record["round"]), _as_in_tables(numbers)]),
                earlier=known.get("earlier", ()),
            )
            self._runs[name] = run
            if other := _other(known, run):
                self._begin_beside(name, run, known, other)
            elif known:
                run.identity, run.round = known["identity"], known["round"]
            if run.identity is not None and run.round < self._num_rounds:
                # A process that was killed may have noted more than the store has.
                self._guarded(lambda: self._open(name, run))
        return self._runs[name]

    def _begin_beside(self, name: str, run: _Run, known: Mapping[str, Any], other: str) -> None:
        """Leaves an earlier tracked run as it is; says so of the first one, and counts all."""
        run.earlier = (*run.earlier, {n: v for n, v in known.items() if n != "earlier"})
        self._again += 1
        if self._again == 1:
            self._say(
                f"{self._name} has {name!r} {other}: it stays as it is, and "
                f"{_numbered(name, run)!r} begins beside it"
            )

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
        opened = self._store.open(
            self._path.parent, _numbered(name, run), run.parameters, run.identity
        )
        run.open, run.identity = opened, opened.identity
        run.round = run.round if opened.last is None else opened.last
        self._save(name, run)
        return opened

    def _save(self, name: str, run: _Run) -> None:
        """Writes what the store calls a run, which one it is, and which round it has."""
        self._known[name] = {
            "identity": run.identity,
            "round": run.round,
            "settings": run.settings,
            "start": run.start,
            "earlier": [*run.earlier],
        }
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


def _other(known: Mapping[str, Any], run: _Run) -> str:
    """Returns why a run is not the one that is known; empty if it is, or if none is known."""
    if known and known["settings"] != run.settings:
        return _OTHER_SETTINGS
    # A process that was killed may have noted less than the store has: its round decides nothing.
    return _OTHER_START if known and known["start"] != run.start else ""


def _numbered(name: str, run: _Run) -> str:
    """Returns the name that the store shows of a run."""
    return f"{name} run {len(run.earlier) + 1}" if run.earlier else name


def _as_in_tables(numbers: Mapping[str, float]) -> dict[str, float]:
    """Returns numbers with seconds as tables have them, which give a run its records back."""
    return {n: round(v, 3) if n.startswith("seconds/") else v for n, v in numbers.items()}


def _digest(content: Any) -> str:
    """Returns the SHA-256 of what JSON holds."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def _read(path: pathlib.Path) -> tuple[dict[str, dict[str, Any]], bool]:
    """Reads which runs an earlier process began, and whether that is damaged: then none did."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        known = {str(name): {**own} for name, own in found.items()}
        texts = ("identity", "settings", "start")
        for own in known.values():
            fit = isinstance(own["round"], int) and isinstance(own["earlier"], list)
            if not fit or not all(isinstance(own[text], str) for text in texts):
                raise TypeError
    except (FileNotFoundError, NotADirectoryError):
        return {}, False
    except (OSError, ValueError, KeyError, AttributeError, TypeError):
        return {}, True
    return known, False


def _parameter(value: Any) -> Parameter | None:
    """Returns a part of a configuration as trackers take it; None for one that is not given."""
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=str)
    return text if len(text) <= _MOST_LETTERS else f"{text[: _MOST_LETTERS - 3]}..."
