"""The runs of a sweep: points, which are values of some fields, times seeds."""

from __future__ import annotations

import csv
import dataclasses
import hashlib
import itertools
import pathlib
import re
from collections.abc import Iterator, Mapping, Sequence, Set
from typing import Any

from experiments import fields
from experiments.config import ROOM_OF, ROOMS, RunConfig, with_fields
from experiments.flags import unknown, value_of
from experiments.rooms import SweepConfig, number_text
from experiments.study.arm import Arm, arm_of_train, arms_of_compare
from hasa_jax.base import UserError
from hasa_jax.datasets import csv_rows
from hasa_jax.datasets.paths import path_of
from hasa_jax.simulation.escapes import one_line

_OF_SWEEP = frozenset(fields.knobs(SweepConfig))

_OF_COMPARE = frozenset({"methods", "policies", "reference"})
"""Fields that only compare reads: with one of them, every run is one of compare."""

_OF_PROCESSES = ("coordinator", "num_processes", "process_id")

_SAME = {
    **dict.fromkeys((*_OF_SWEEP, "workdir", "num_seeds"), "it says what a sweep is"),
    "seed": "a sweep runs `num_seeds` seeds from `seed` on",
    "seeds_per_program": "every run of a sweep has one seed",
    **dict.fromkeys(("until_halfwidth", "max_seeds"), "every run of a sweep has one seed"),
    **dict.fromkeys(_OF_PROCESSES, "every run of a sweep has one process"),
    **dict.fromkeys(
        ("host_devices", "deterministic_ops", "compilation_cache"),
        "it is one for a process, and a sweep runs in one: start a sweep for each value",
    ),
}
"""Fields that are the same for all runs, and why."""

_LONGEST = 100
"""Letters of the name of a folder; a longer one is cut and marked by its hash."""

_UNSAFE = re.compile(r"[^A-Za-z0-9._=@-]")
"""Letters that the name of a folder does not have: a comma would separate workdirs."""

Values = dict[str, Any]
"""Values of fields at a point, by name."""


@dataclasses.dataclass(frozen=True)
class Point:
    """Values of the fields that a sweep varies.

    Attributes:
      shown: text of every such field, in the order of the configuration.
      config: the configuration with these values.
      given: fields that the user gave, those of the point among them.
    """

    shown: Mapping[str, str]
    config: RunConfig
    given: frozenset[str]

    @property
    def label(self) -> str:
        """What sets the point apart, such as `client_lr=0.1, budget=0.5`."""
        return one_line(", ".join(f"{name}={text}" for name, text in self.shown.items()))


@dataclasses.dataclass(frozen=True)
class Run:
    """One point on one seed: a run of train or compare.

    Attributes:
      script: train or compare.
      point: the values.
      seed: the seed.
      config: the configuration of the run; it names its workdir.
      given: fields that the run's own command would give.
    """

    script: str
    point: Point
    seed: int
    config: RunConfig
    given: frozenset[str]

    @property
    def label(self) -> str:
        """What sets the run apart, such as `client_lr=0.1, seed=0`."""
        return ", ".join(filter(None, [self.point.label, f"seed={self.seed}"]))

    @property
    def folder(self) -> pathlib.Path:
        """Its workdir."""
        return pathlib.Path(self.config.reporting.workdir)

    @property
    def arms(self) -> list[Arm]:
        """What it compares; the one arm of train.

        Raises:
          UserError: for fields that contradict each other.
        """
        if self.script == "train":
            return [arm_of_train(self.config, self.given)]
        return arms_of_compare(self.config, self.given)


@dataclasses.dataclass(frozen=True)
class Sweep:
    """All runs of a sweep.

    Attributes:
      folder: the workdir, which has a folder for each run.
      fields: names of the fields that points differ in, in the order of the configuration.
      points: in the order of the command.
      runs: every seed of the first point, then of the second, and so on.
    """

    folder: pathlib.Path
    fields: tuple[str, ...]
    points: tuple[Point, ...]
    runs: tuple[Run, ...]

    def share(self, index: int, number: int) -> tuple[Run, ...]:
        """Returns the runs of one of several shares, which have no run in common.

        Args:
          index: of the share, from 1 on.
          number: of shares.

        Returns:
          Every `number`-th run; none if there are fewer runs than shares.
        """
        return self.runs[index - 1 :: number]


def sweep_of(config: RunConfig, given: Set[str]) -> Sweep:
    """Makes the runs of a sweep; every value is checked.

    Args:
      config: the configuration of all runs, with the fields of the sweep.
      given: fields that the user gave.

    Returns:
      The sweep.

    Raises:
      UserError: for a field that is unknown or cannot be varied, a bad value, or two points that
        are one.
    """
    if not config.reporting.workdir:
        raise UserError("a sweep has a folder for each of its runs: name their folder by `workdir`")
    if "suite" in given:
        raise UserError("`suite` is for benchmark: leave it out")
    if "seeds_per_program" in given:
        raise UserError("`seeds_per_program` is for compare: every run of a sweep has one seed")
    if by_rule := [name for name in ("until_halfwidth", "max_seeds") if name in given]:
        raise UserError(f"`{by_rule[0]}` is for compare: a sweep has `num_seeds` seeds")
    if of_processes := [name for name in _OF_PROCESSES if name in given]:
        raise UserError(
            f"`{of_processes[0]}` is for train and compare: every run of a sweep has one process; "
            "give each process its share with `shard`"
        )
    axes = [_axis(text) for text in config.sweep.vary]
    listed = _listed(config.sweep.points_path) if config.sweep.points_path else [{}]
    named = [*listed[0], *(name for name, _ in axes)]
    if twice := [name for name in named if named.count(name) > 1]:
        raise UserError(f"`{twice[0]}` is varied twice: name all of its values once")
    varied = tuple(name for name in ROOM_OF if name in named)
    points = tuple(
        _point(config, given, varied, {**row, **combination})
        for row in listed
        for combination in _combinations(axes)
    )
    _refuse_equal(points)
    script = "compare" if _OF_COMPARE & {*given, *varied} else "train"
    first = config.comparison.seed
    seeds = range(first, first + config.comparison.num_seeds)
    folder = pathlib.Path(config.reporting.workdir)
    return Sweep(folder, varied, points, runs_of(script, folder, points, seeds))


def runs_of(
    script: str, folder: pathlib.Path, points: Sequence[Point], seeds: Sequence[int]
) -> tuple[Run, ...]:
    """Makes the runs of points times seeds.

    Args:
      script: train or compare.
      folder: the workdir of all of them; every run has a folder in it.
      points: the points.
      seeds: of every point.

    Returns:
      Every seed of the first point, then of the second, and so on.
    """
    return tuple(_run(script, folder, point, seed) for point in points for seed in seeds)


def _axis(text: str) -> tuple[str, list[Any]]:
    """Reads `NAME=VALUE,VALUE`; None is a value that is left as it is."""
    name, equals, values = text.partition("=")
    if not equals:
        raise UserError(f"`vary={text}` has no values: write NAME=VALUE,VALUE")
    _check_name(name)
    try:
        (cells,) = csv.reader([values], strict=True)
    except (csv.Error, ValueError):
        raise UserError(
            f"`vary={text}` has an open quote or a line break: write NAME=VALUE,VALUE, and a value "
            'with commas in double quotes, as in levels="1,0.5","1,0.25"'
        ) from None
    return name, [_value(name, cell) for cell in cells or [""]]


def _combinations(axes: Sequence[tuple[str, list[Any]]]) -> Iterator[Values]:
    """Yields every combination of values; the last field changes fastest."""
    names = [name for name, _ in axes]
    for values in itertools.product(*(own for _, own in axes)):
        yield dict(zip(names, values, strict=True))


def _listed(path: str) -> list[Values]:
    """Reads the points of a CSV file."""
    _, header = next(csv_rows.rows_of(path), (0, []))
    names = [name.strip() for name in header]
    for name in names:
        try:
            _check_name(name)
        except UserError as error:
            raise UserError(f"header of {path_of(path)}: {error}") from None
    found = []
    for line, cells in csv_rows.named_columns(path, names):
        try:
            found.append({n: _value(n, cell) for n, cell in zip(names, cells, strict=True)})
        except UserError as error:
            raise UserError(f"line {line} of {path_of(path)}: {error}") from None
    return found


def _check_name(name: str) -> None:
    """Refuses unknown fields, and those that are the same for all runs of a sweep."""
    if name not in ROOM_OF:
        raise UserError(unknown(name))
    if name in _SAME:
        raise UserError(f"`{name}` cannot be varied: {_SAME[name]}")


def _value(name: str, text: str) -> Any:
    """Reads a value; an empty one is None, and leaves the field as it is."""
    return value_of(name, text.strip()) if text.strip() else None


def _point(config: RunConfig, given: Set[str], varied: Sequence[str], values: Values) -> Point:
    """Makes a point of values, of which None leaves a field as it is."""
    chosen = {name: value for name, value in values.items() if value is not None}
    plain = {name: fields.defaults(SweepConfig)[name] for name in _OF_SWEEP}
    try:
        own = with_fields(config, {**plain, **chosen})
    except UserError as error:
        shown = ", ".join(f"{name}={_text(value)}" for name, value in chosen.items())
        raise UserError(f"point {shown}: {error}") from None
    shown = {name: _text(getattr(getattr(own, ROOM_OF[name]), name)) for name in varied}
    return Point(shown, own, frozenset(given - _OF_SWEEP | chosen.keys()))


def _refuse_equal(points: Sequence[Point]) -> None:
    """Raises if two points are the same."""
    seen: set[RunConfig] = set()
    for point in points:
        if point.config in seen:
            raise UserError(f"point {point.label or 'of no field'} is there twice: leave one out")
        seen.add(point.config)


def _run(script: str, folder: pathlib.Path, point: Point, seed: int) -> Run:
    """Makes the run of a point on a seed: what its own command would run."""
    names = [_safe(f"{name}={text}") for name, text in point.shown.items()]
    name = _short("+".join([*names, f"seed={seed}"]))
    usual = fields.defaults(ROOMS["comparison"])["num_seeds"]
    own = {
        "seed": seed,
        "num_seeds": 1 if script == "compare" else usual,
        "workdir": str(folder / name),
    }
    given = point.given - {"num_seeds"} | {"seed", "workdir"}
    return Run(script, point, seed, with_fields(point.config, own), frozenset(given))


def _safe(text: str) -> str:
    """Returns a part of the name of a folder; a hash replaces letters that it cannot have."""
    plain = _UNSAFE.sub("_", text)
    return plain if plain == text else f"{plain}-{_digest(text)}"


def _short(name: str) -> str:
    """Cuts the name of a folder."""
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST - 9]}-{_digest(name)}"


def _digest(text: str) -> str:
    """Returns eight letters that another text has not."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _text(value: Any) -> str:
    """Writes a value of a field; what a method or the data decide is `default`."""
    if value is None:
        return "default"
    if isinstance(value, tuple):
        return ",".join(map(_text, value))
    if isinstance(value, bool):
        return str(value).lower()
    return number_text(value) if isinstance(value, float) else str(value)
