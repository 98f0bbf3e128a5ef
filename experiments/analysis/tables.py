"""From the results of workdirs to their tables, and to files of them."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping, Sequence

from experiments.analysis import (
    results,
    table_accuracies,
    table_clients,
    table_cost,
    table_notes,
    table_sizes,
)
from experiments.analysis.compared import Comparison, compared_of
from experiments.analysis.markdown import paragraph
from experiments.analysis.merged_name import named
from experiments.analysis.rendering import files, latex, markdown, terminal
from experiments.analysis.results import Results
from experiments.analysis.table import Table
from experiments.config import RunConfig
from experiments.rooms import TABLE_FORMATS, ComparisonConfig
from hasa_jax.base import UserError
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.writers import say

Maker = Callable[[Comparison, int], Table | None]
"""Makes a table of one round; None where the results lack what it shows."""

BY_ROUND: Mapping[str, Maker] = {
    "headline": table_accuracies.headline,
    "worst": table_accuracies.worst,
    "tests": table_accuracies.tests,
    "global": table_accuracies.of_global,
}
"""Tables of the chosen round, and of the last one, where their names end in `_last`."""

OF_CHOSEN: Mapping[str, Maker] = {
    "cost": table_cost.cost,
    "widths": table_clients.widths,
    "clients": table_clients.clients,
}
"""Tables of the chosen round only."""

MOST_ROWS = 120
"""Rows of a table of clients that terminal and Markdown show; a longer one is in other files."""

_OF_CLIENTS = ("widths", "clients")
"""Tables with rows for clients or sizes, which may be left out where they are long."""

LAST = "_last"
"""How the names of tables of the last round end, if it is not the chosen one."""

_IN_FILES = ("tests_last", "global", "global_last", "widths", "clients")
"""Tables that are not printed; files have them."""

_NAMES = (
    *(f"{name}{end}" for name in BY_ROUND for end in ("", LAST)),
    *(*OF_CHOSEN, "sizes", "sizes_global", "sizes_local", "sizes_empty"),
)
"""Names of all tables that there are."""

_OF_SEVERAL = ("worst", "tests")
"""Tables that need several arms."""


def tables_of(found: Results, comparison: ComparisonConfig) -> tuple[Table, ...]:
    """Makes all tables of some results.

    Args:
      found: the results.
      comparison: names the reference, and the unit in which arms must match. The round is always
        chosen by the first arm.

    Returns:
      The tables that the results have, the most important first. What a reader must know of all of
      them is in the notes of the first.

    Raises:
      UserError: if the reference is not one arm, if no round has all arms, or if the results lack
        the unit.
    """
    compared = compared_of(found, comparison)
    made = [_made(compared, name) for name in _names(compared)]
    return tuple(table for table in made if table) + table_sizes.tables_of(compared)


def table_of(found: Results, comparison: ComparisonConfig, name: str) -> Table:
    """Makes one table of some results.

    Args:
      found: the results.
      comparison: as for `tables_of`.
      name: of the table.

    Returns:
      The table.

    Raises:
      UserError: as `tables_of`, and if the results have no such table.
    """
    compared = compared_of(found, comparison)
    names = _names(compared)
    # What a study without a best round of its own calls `headline` is its last one, too.
    name = name if name in names or not name.endswith(LAST) else name.removesuffix(LAST)
    known = {table.name: table for table in table_sizes.tables_of(compared)}
    table = _made(compared, name) if name in names else known.get(name)
    if table is None:
        every = ", ".join(dict.fromkeys([*names, *known]))
        raise UserError(f"these results have no table {name!r}: name one of {every}")
    return table


def _names(compared: Comparison) -> list[str]:
    """Returns the names of the tables of rounds, in their order."""
    ends = ["", *[LAST] * (compared.last != compared.chosen)]
    return [*(f"{name}{end}" for name in BY_ROUND for end in ends), *OF_CHOSEN]


def _made(compared: Comparison, name: str) -> Table | None:
    """Makes a table of a round."""
    plain = name.removesuffix(LAST)
    if plain in _OF_SEVERAL and not compared.several:
        return None
    round = compared.last if name.endswith(LAST) else compared.chosen
    table = {**BY_ROUND, **OF_CHOSEN}[plain](compared, round)
    if table is None or name != "headline":
        return table
    return dataclasses.replace(table, notes=(*table.notes, *table_notes.notes_of(compared)))


def shown(tables: Sequence[Table], most: int = MOST_ROWS) -> list[Table]:
    """Leaves out tables of clients that are too long to be read from top to bottom.

    Args:
      tables: all of them.
      most: rows of those that are not.

    Returns:
      The others, however long they are; the notes of the first one name what is left out.
    """
    long = [table for table in tables if table.name in _OF_CLIENTS and len(table.rows) > most]
    first, *others = [table for table in tables if table not in long]
    lines = [
        f"Table {table.name} has {len(table.rows):,} rows: see the CSV or HTML format, which "
        "table_formats=csv,html writes."
        for table in long
    ]
    return [dataclasses.replace(first, notes=(*first.notes, *lines)), *others]


def text_of(found: Results, comparison: ComparisonConfig) -> str:
    """Writes the tables of some results in Markdown.

    Args:
      found: the results.
      comparison: as for `tables_of`.

    Returns:
      The content of table.md.

    Raises:
      UserError: as `tables_of`.
    """
    return markdown.document(shown(tables_of(found, comparison)))


def write(
    folders: Sequence[pathlib.Path],
    comparison: ComparisonConfig,
    formats: Sequence[str] = TABLE_FORMATS[:1],
) -> str:
    """Writes the tables of one workdir into it, or those of several into the first of them.

    Args:
      folders: the workdirs.
      comparison: as for `tables_of`.
      formats: which files are written, some of `TABLE_FORMATS`: table.md, table.tex, table.html,
        and table_<name>.csv for each table. Their names begin with `merged_` for several workdirs.
        Where CSV is written, those of tables that these results do not have are removed.

    Returns:
      The tables for a terminal.

    Raises:
      UserError: as `tables_of`, or if something else has the name of a file.
    """
    tables = tables_of(results.read(folders), comparison)
    stem = named("table", folders)
    made: dict[str, str] = {}
    for name in formats:
        made |= files.files_of(stem, _in_file(tables, name), [name])
    every = [files.csv_name(stem, name) for name in _NAMES] if "csv" in formats else []
    old = [file for file in every if file not in made]
    check_files(folders[0], (*made, *old), "workdir")
    for file in old:
        (folders[0] / file).unlink(missing_ok=True)
    for file, text in made.items():
        (folders[0] / file).write_text(text, encoding="utf-8", newline="")
    printed = [table for table in shown(tables) if table.name not in _IN_FILES]
    lines = [terminal.document(printed)]
    written = [table.name for table in _in_file(tables, formats[0])]
    if others := [name for name in written if name in _IN_FILES]:
        where = "a file of its own each" if tuple(formats) == ("csv",) else next(iter(made))
        lines.append(paragraph(f"More tables are in {where}: {', '.join(others)}."))
    return "\n\n".join(lines)


def _in_file(tables: Sequence[Table], format: str) -> Sequence[Table]:
    """Returns the tables that the files of a format have."""
    match format:
        case "markdown":
            return shown(tables)
        case "latex":
            return shown(tables, latex.MOST_ROWS)
        case _:
            return tables


def report(config: RunConfig) -> None:
    """Writes and prints the tables of one or more workdirs.

    Args:
      config: names the workdirs, the arm that others are compared with, and the formats.

    Raises:
      UserError: if a workdir holds no results, or they cannot be compared.
    """
    folders = results.folders_of(config.reporting.workdir)
    say(write(folders, config.comparison, config.reporting.table_formats))
