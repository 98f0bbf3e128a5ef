"""The clients that advice is for: their examples, what their devices hold, and their scores."""

from __future__ import annotations

import dataclasses
import difflib
import math
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from experiments.study.scores import first_repeated
from hasa_jax.base import UserError
from hasa_jax.datasets import csv_rows
from hasa_jax.datasets.messages import first_of
from hasa_jax.datasets.paths import path_of, shown
from hasa_jax.simulation.escapes import from_csv_cell

CLIENT, EXAMPLES, SCORE, RATE = "client", "examples", "score", "macs_per_second"
CAPS = ("cap", "cap_params", "cap_macs")
"""Columns of the largest width, the most parameters, and the most MACs of one example."""

COUNTS = (EXAMPLES, "cap_params", "cap_macs")
"""Columns of integers."""

CLASS = "class"
"""Column of the class of a device, such as low, mid or high."""

COLUMNS = (CLIENT, EXAMPLES, *CAPS, SCORE, RATE, CLASS)
"""Columns that mean something; that of classes is copied with those of the user, too."""

_ALIKE = 0.85
"""Names that are this similar are taken for mistakes: `caps`, `scores`."""

_COUNT = re.compile(r"\d+(?:[.,]0)?|\d+(?:[.,]\d+)?[eE]\+?\d+")
"""An integer, also as a table of floats or a spreadsheet writes it: 100.0, 1,5E+05."""

_THOUSANDS = re.compile(r"\d{1,3}[.,]\d{3}")


@dataclasses.dataclass(frozen=True)
class Fleet:
    """Some clients.

    Attributes:
      names: of the clients.
      examples: training examples of each `[N]`, int64.
      caps: what each device holds `[N]`, by a name of `CAPS`; without any, it holds all.
      scores: heterogeneity scores `[N]`; None if they are not given.
      rates: MACs that each device computes in a second `[N]`; None if they are not given.
      others: cells of the columns that decide nothing `[N]`, by name; advice copies them.
      notes: what was left out while reading.
    """

    names: tuple[str, ...]
    examples: np.ndarray
    caps: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    scores: np.ndarray | None = None
    rates: np.ndarray | None = None
    others: Mapping[str, tuple[str, ...]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def subset(self, kept: np.ndarray) -> Fleet:
        """Returns the clients that a mask keeps `[N]`, bool."""
        return dataclasses.replace(
            self,
            names=tuple(name for name, own in zip(self.names, kept, strict=True) if own),
            examples=self.examples[kept],
            caps={name: own[kept] for name, own in self.caps.items()},
            scores=None if self.scores is None else self.scores[kept],
            rates=None if self.rates is None else self.rates[kept],
            others={name: _at(np.flatnonzero(kept), own) for name, own in self.others.items()},
        )


def read_fleet(clients_path: str, of_data: Mapping[str, int] | None = None) -> Fleet:
    """Reads a CSV file of clients.

    Its columns are `client` and `examples`, and any of `cap` (the largest width that the device
    holds, in (0, 1]), `cap_params` and `cap_macs` (the most parameters, and MACs of one example's
    forward pass; the least of the three counts), `score` and `macs_per_second`. Columns are
    separated by commas, semicolons, tabs or bars. `0,5` is read as 0.5. An empty cap is none. All
    other columns are for the user, who finds them beside what each client gets.

    Args:
      clients_path: the file.
      of_data: training examples of each client of a data set, by name. The file then needs no
        `examples`, and must name exactly these clients.

    Returns:
      The clients, in the order of the data set, or of the file.

    Raises:
      UserError: for a file that cannot be used; it names the line.
    """
    path = path_of(clients_path)
    needed = [CLIENT] if of_data is not None else [CLIENT, EXAMPLES]
    header = csv_rows.header_of(path, needed)
    _check_header(path, header, needed)
    optional = [name for name in (EXAMPLES, *CAPS, SCORE, RATE) if name in header]
    columns = [*needed, *(name for name in optional if name not in needed)]
    unread = [name for name in dict.fromkeys(header) if name and name not in columns]
    twice = [name for name in unread if header.count(name) > 1]
    unread = [name for name in unread if name not in twice]
    lines, texts = csv_rows.columns_of(path, [*columns, *unread])
    cells = dict(zip(columns, texts, strict=False))
    others = dict(zip(unread, texts[len(columns) :], strict=True))
    filled = zip(*cells.values(), strict=True)
    used = [number for number, own in enumerate(filled) if any(map(str.strip, own))]
    blank = len(lines) - len(used)
    lines = [lines[number] for number in used]
    cells = {name: [own[number].strip() for number in used] for name, own in cells.items()}
    names = [from_csv_cell(cell) for cell in cells.pop(CLIENT)]
    _check_names(path, lines, names)
    numbers = {name: _numbers(path, lines, name, own) for name, own in cells.items()}
    notes = _notes(path, unread, twice, blank)
    for name in CAPS:
        if empty := cells.get(name, []).count(""):
            notes += (f"{shown(path)}: {empty} cells of column {name!r} are empty: no cap",)
    found = Fleet(
        names=tuple(names),
        examples=numbers.get(EXAMPLES, np.zeros(len(names))).astype(np.int64),
        caps={name: numbers[name] for name in CAPS if name in numbers},
        scores=numbers.get(SCORE),
        rates=numbers.get(RATE),
        others={name: tuple(map(from_csv_cell, _at(used, own))) for name, own in others.items()},
        notes=notes,
    )
    return found if of_data is None else _joined(path, found, of_data)


def _check_header(path: pathlib.Path, header: Sequence[str], needed: Sequence[str]) -> None:
    """Refuses a file without the columns it needs, and names that are nearly those of columns."""
    missing = [name for name in needed if name not in header]
    if header and missing:
        raise UserError(
            f"{shown(path)} has no column {' and no column '.join(missing)}: name them so; "
            f"its columns are {first_of(header)}"
        )
    for column in dict.fromkeys(header):
        meant = [name for name in COLUMNS if _plain(name) == _plain(column)]
        meant = meant or difflib.get_close_matches(column.casefold(), COLUMNS, 1, _ALIKE)
        if column not in COLUMNS and meant and meant[0] not in header:
            raise UserError(
                f"{shown(path)}: is column {column!r} meant as {meant[0]}? Name it so, or give it "
                "a name that is less like it"
            )


def _plain(name: str) -> str:
    """Returns the letters of a name, in lower case."""
    return re.sub(r"[\W_]", "", name.casefold())


def _joined(path: pathlib.Path, found: Fleet, of_data: Mapping[str, int]) -> Fleet:
    """Puts the clients of a file in the order of those of a data set, whose examples count."""
    known = set(found.names)
    unknown = [name for name in found.names if name not in of_data]
    missing = [name for name in of_data if name not in known]
    if unknown or missing:
        raise UserError(
            f"{shown(path)} does not fit the data: {_misfit(unknown, missing, of_data)}"
        )
    places = {name: place for place, name in enumerate(found.names)}
    order = np.array([places[name] for name in of_data])
    notes = found.notes
    for column, own in ((EXAMPLES, found.examples.any()), (SCORE, found.scores is not None)):
        if own:
            notes += (f"{shown(path)}: column {column!r} does not count: that of the data does",)
    return Fleet(
        names=tuple(of_data),
        examples=np.array([*of_data.values()], np.int64),
        caps={name: own[order] for name, own in found.caps.items()},
        rates=None if found.rates is None else found.rates[order],
        others={name: _at(order, own) for name, own in found.others.items()},
        notes=notes,
    )


def _misfit(unknown: Sequence[str], missing: Sequence[str], of_data: Mapping[str, int]) -> str:
    """Says how the clients of a file differ from those of the data, and what to do."""
    extra = f"{len(unknown)} of its clients are not in the data, {first_of(unknown)}"
    lacking = f"{len(missing)} clients of the data are not in it, {first_of(missing)}"
    if unknown and missing:
        return f"{extra}, and {lacking}: name the clients of the data, {first_of(of_data)}"
    if unknown:
        return (
            f"{extra}: remove their lines, or leave out `dataset` for advice on all clients of the "
            "file (it then needs a column examples, and you name a `model`)"
        )
    return f"{lacking}: add a line for each of them; an empty cap is none"


def _at(places: Iterable[int], cells: Sequence[str]) -> tuple[str, ...]:
    """Returns the cells at some places."""
    return tuple(cells[place] for place in places)


def _check_names(path: pathlib.Path, lines: Sequence[int], names: Sequence[str]) -> None:
    """Refuses a file without clients, and clients that are unnamed or there twice."""
    if not names:
        raise UserError(f"{shown(path)} names no client: add a line for each of them")
    if "" in names:
        raise UserError(f"{shown(path)}, line {lines[names.index('')]}: the client has no name")
    if len(set(names)) < len(names):
        number, name = first_repeated(names)
        raise UserError(f"{shown(path)}, line {lines[number]}: client {name!r} is there twice")


def _numbers(
    path: pathlib.Path, lines: Sequence[int], column: str, cells: Sequence[str]
) -> np.ndarray:
    """Reads the numbers of a column `[N]`, float64."""
    found = np.array([_number(column, cell) for cell in cells])
    uncapped = np.array([column in CAPS and not cell for cell in cells])
    wrong = ~np.isfinite(found) & ~uncapped
    what = "a number"
    if column in COUNTS:
        wrong |= ~uncapped & ((found < 1) | (found != np.floor(found)) | (found > 2**53))
        what = "an integer of 1 or more, without separators of thousands"
    elif column == "cap":
        wrong |= (found <= 0) | (found > 1)
        what = "a width in (0, 1]; cap_params and cap_macs are for counts"
    elif column == RATE:
        wrong |= found <= 0
        what = "a number above 0, without separators of thousands"
    if wrong.any():
        at = int(np.argmax(wrong))
        raise UserError(
            f"{shown(path)}, line {lines[at]}: {column} is {cells[at]!r}: it must be {what}"
        )
    return found


def _number(column: str, cell: str) -> float:
    """Reads a number, with a decimal point or comma; NaN for what is none.

    An empty cap is none: all of the supernet. `1.000` and `1,000` may mean a thousand, so they are
    neither counts nor rates.
    """
    if column in CAPS and not cell:
        return 1.0 if column == "cap" else math.inf
    if column in COUNTS and not _COUNT.fullmatch(cell):
        return math.nan
    if column == RATE and _THOUSANDS.fullmatch(cell):
        return math.nan
    text = cell.replace(",", ".") if cell.count(",") == 1 and "." not in cell else cell
    try:
        return math.nan if "_" in text else float(text)
    except ValueError:
        return math.nan


def _notes(
    path: pathlib.Path, unread: Sequence[str], twice: Sequence[str], blank: int
) -> tuple[str, ...]:
    """Says what of a file was not read."""
    notes = []
    if own := [name for name in unread if name != CLASS]:
        notes = [
            f"{shown(path)}: columns that are not read, only copied: {first_of(own)}; "
            f"those that are read are {', '.join(COLUMNS)}"
        ]
    if twice:
        notes += [f"{shown(path)}: columns left out, as they are there twice: {first_of(twice)}"]
    notes += [f"{shown(path)}: {blank} lines without a value were skipped"] if blank else []
    return tuple(notes)
