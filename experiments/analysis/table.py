"""A table as data: what it says, before any medium shows it."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Cell:
    """A cell.

    Attributes:
      text: what is shown. It is plain; `rendering` escapes it for each medium.
      value: the number that the cell is about, in the unit of its column; None if there is none.
      bold: whether a test bears out that it is the best of its column.
    """

    text: str
    value: float | None = None
    bold: bool = False


@dataclasses.dataclass(frozen=True)
class Table:
    """A table.

    Attributes:
      name: a short name, the same in all results, such as `headline`.
      title: what it shows, in a sentence without a full stop.
      headers: of the columns, with units.
      rows: cells `[rows][columns]`; the first one of each row says what the row is about.
      notes: what a reader must know of it, one line each.
    """

    name: str
    title: str
    headers: tuple[str, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Refuses rows of another length than the headers."""
        for row in self.rows:
            if len(row) != len(self.headers):
                raise ValueError(
                    f"table {self.name}: {len(row)} cells below {len(self.headers)} headers"
                )

    @property
    def at_right(self) -> tuple[bool, ...]:
        """Whether the cells of each column are numbers, which stand at the right."""
        columns = zip(*self.rows, strict=True) if self.rows else ((),) * len(self.headers)
        return tuple(any(cell.value is not None for cell in column) for column in columns)

    def cell(self, row: str, column: str) -> Cell:
        """Looks a cell up.

        Args:
          row: text of the first cell of its row.
          column: its header.

        Returns:
          The cell.

        Raises:
          KeyError: if there is none.
        """
        for cells in self.rows:
            if cells[0].text == row and column in self.headers:
                return cells[self.headers.index(column)]
        raise KeyError(f"table {self.name} has no row {row!r} with a column {column!r}")
