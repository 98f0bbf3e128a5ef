"""Records of many clients as columns: made, kept and saved without a Python object for each."""

from __future__ import annotations

import base64
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, overload

import numpy as np


class Named(NamedTuple):
    """A column of names, by reference.

    Attributes:
      names: of all clients; None in what is read from a file, which gives ids until
        `Columns.with_names`.
      ids: positions in `names` `[n]`, int.
    """

    names: Sequence[str] | None
    ids: np.ndarray


Column = np.ndarray | Named | str | float | None
"""An array with an entry for each record `[n]`, names, or one value for all records."""


class Block(NamedTuple):
    """Records of one evaluation and split.

    Attributes:
      length: how many.
      columns: by name, in the order in which they are written.
    """

    length: int
    columns: Mapping[str, Column]

    def lists(self) -> list[list[Any]]:
        """Returns the values of each column as Python objects."""
        return [_values(column, self.length) for column in self.columns.values()]


class Columns(Sequence[dict[str, Any]]):
    """A sequence of records, each a dict, that holds blocks of arrays.

    Args:
      blocks: the records, block by block.
    """

    def __init__(self, blocks: Sequence[Block]) -> None:
        self._blocks = tuple(blocks)
        self._ends = list(itertools.accumulate(block.length for block in blocks))

    @property
    def blocks(self) -> tuple[Block, ...]:
        """The blocks."""
        return self._blocks

    def __len__(self) -> int:
        return self._ends[-1] if self._ends else 0

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for block in self._blocks:
            for values in zip(*block.lists(), strict=True):
                yield dict(zip(block.columns, values, strict=True))

    @overload
    def __getitem__(self, index: int) -> dict[str, Any]: ...
    @overload
    def __getitem__(self, index: slice) -> list[dict[str, Any]]: ...
    def __getitem__(self, index: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        if isinstance(index, slice):
            return [self[position] for position in range(*index.indices(len(self)))]
        position = range(len(self))[index]
        number = int(np.searchsorted(self._ends, position, side="right"))
        block = self._blocks[number]
        inside = position - (self._ends[number] - block.length)
        return {name: _value(column, inside) for name, column in block.columns.items()}

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and list(self) == [*other]

    def with_names(self, names: Sequence[str]) -> Columns:
        """Returns the records with the names of all clients, which no file repeats."""
        blocks = []
        for block in self._blocks:
            columns = {
                key: Named(names, column.ids) if isinstance(column, Named) else column
                for key, column in block.columns.items()
            }
            blocks.append(Block(block.length, columns))
        return Columns(blocks)


def joined(parts: Sequence[Sequence[dict[str, Any]]]) -> Sequence[dict[str, Any]]:
    """Joins records; columns stay columns.

    Args:
      parts: of several evaluations, each `Columns` or a list.

    Returns:
      `Columns` if all parts are, a list if not.
    """
    found = [part for part in parts if isinstance(part, Columns)]
    if found and len(found) == len(parts):
        return Columns([block for part in found for block in part.blocks])
    return [record for part in parts for record in part]


def to_json(value: object) -> dict[str, Any]:
    """Writes columns for JSON, as `default` of `json.dumps`, without names; arrays are exact.

    Args:
      value: records.

    Returns:
      What `from_json` reads.

    Raises:
      TypeError: for anything else.
    """
    if not isinstance(value, Columns):
        raise TypeError(f"{type(value).__name__} is no record")
    blocks = [
        {
            "length": block.length,
            "columns": {name: _packed(column) for name, column in block.columns.items()},
        }
        for block in value.blocks
    ]
    return {"records": blocks}


def from_json(value: dict[str, Any]) -> Any:
    """Reads what `to_json` wrote, as `object_hook` of `json.loads`; other objects stay.

    Args:
      value: an object.

    Returns:
      A column, records, or the object.
    """
    if value.keys() == {"dtype", "base64"}:
        return np.frombuffer(base64.b64decode(value["base64"]), value["dtype"])
    if value.keys() == {"ids"}:
        return Named(None, value["ids"])
    if value.keys() == {"records"}:
        return Columns([Block(block["length"], block["columns"]) for block in value["records"]])
    return value


def _packed(column: Column) -> Any:
    """Returns a column as JSON holds it."""
    if isinstance(column, Named):
        return {"ids": _packed(column.ids)}
    if not isinstance(column, np.ndarray):
        return column
    little = column.astype(column.dtype.newbyteorder("<"), copy=False)
    return {"dtype": little.dtype.str, "base64": base64.b64encode(little.tobytes()).decode()}


def _values(column: Column, length: int) -> list[Any]:
    """Returns the values of a column as Python objects."""
    match column:
        case Named(names=names, ids=ids):
            listed = ids.tolist()
            return listed if names is None else [names[position] for position in listed]
        case np.ndarray():
            return column.tolist()
        case _:
            return [column] * length


def _value(column: Column, position: int) -> Any:
    """Returns one value of a column."""
    match column:
        case Named(names=names, ids=ids):
            return int(ids[position]) if names is None else names[ids[position]]
        case np.ndarray():
            return column[position].item()
        case _:
            return column
