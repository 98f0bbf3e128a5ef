"""Local and global accuracy of every size.

Local accuracy is that of clients' own subnets on their own test examples. Global accuracy is that
of a size on the test examples of all clients, on all classes. With `eval_clients` both are over
the clients that were drawn only.
"""

from __future__ import annotations

import dataclasses

from experiments.analysis import reached, results, table_sizes
from experiments.analysis.compared import compared_of
from experiments.analysis.merged_name import named
from experiments.analysis.rendering import terminal
from experiments.analysis.rendering.files import files_of
from experiments.analysis.results import Results
from experiments.analysis.table import Table
from experiments.config import RunConfig
from experiments.rooms import ComparisonConfig
from hasa_jax.base import UserError
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.writers import say


def tables_of(found: Results, comparison: ComparisonConfig) -> tuple[Table, ...]:
    """Makes the tables of sizes.

    Args:
      found: the results.
      comparison: names the reference, and the unit in which arms must match.

    Returns:
      The tables; how workdirs differ is in the notes of the first.

    Raises:
      UserError: if an arm has no such results, or as `compared_of`.
    """
    reached.read(found)
    first, *others = table_sizes.tables_of(compared_of(found, comparison))
    return dataclasses.replace(first, notes=(*first.notes, *found.remarks)), *others


def report(config: RunConfig) -> Results:
    """Writes by_size.md, or merged_by_size.md of several workdirs, into the first of them.

    Args:
      config: names the workdirs, with commas between them, which ran the same data; and the
        formats of files, which are by_size.tex and so on.

    Returns:
      The results.

    Raises:
      UserError: if a folder holds no results, or they are not alike.
    """
    folders = results.folders_of(config.reporting.workdir)
    for folder in folders:
        if (folder / "summary.csv").exists() and not (folder / "sizes.csv").exists():
            raise UserError(f"{folder} has no sizes.csv: run compare with `eval_levels`")
    found = results.read(folders)
    tables = tables_of(found, config.comparison)
    files = files_of(named("by_size", folders), tables, config.reporting.table_formats)
    check_files(folders[0], tuple(files), "workdir")
    for name, text in files.items():
        (folders[0] / name).write_text(text, encoding="utf-8", newline="")
    say(terminal.document(tables))
    return found
