"""The files of a run of the library: the same tables as those of the scripts."""

from __future__ import annotations

import json
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from hasa_jax.base import UserError
from hasa_jax.datasets.paths import path_of, shown
from hasa_jax.execution import processes
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.run_json import Named, description, labels_of
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.writers import TABLES, CsvWriter

RUN_FILE = "run.json"
"""Name of the file that describes a run."""


def save_run(
    folder: str | os.PathLike[str],
    program: Program,
    trial: Trial,
    records: Mapping[str, Sequence[Mapping[str, Any]]],
    num_rounds: int,
    reporting: Reporting,
    settings: Mapping[str, Any],
    run: Named,
) -> pathlib.Path:
    """Writes the records of a run as CSV files, and what is known of it as `RUN_FILE`.

    Several processes that share a run call it all; the first one writes.

    Args:
      folder: where they go; made if it is not there.
      program: what was run.
      trial: data and sizes of the run.
      records: by table, one of `TABLES`; a table without records gets no file.
      num_rounds: rounds of the run.
      reporting: what was evaluated.
      settings: what the run cannot know of itself, by names; see `run_json.description`.
      run: its seed and fold.

    Returns:
      The folder.

    Raises:
      UserError: for `settings` that JSON cannot hold or that the run knows; if the folder holds
        results already, or links in their place; or if it cannot be written.
    """
    path = path_of(folder)
    content = description(program, trial, run, num_rounds, reporting, settings)
    front = labels_of(program, run)
    processes.from_first(lambda: _write(path, front, records, content))
    return path


def _write(
    path: pathlib.Path,
    front: Mapping[str, Any],
    records: Mapping[str, Sequence[Mapping[str, Any]]],
    content: Mapping[str, Any],
) -> None:
    """Writes the files, or refuses a folder that has some of them."""
    names = (RUN_FILE, *(f"{table}.csv" for table in TABLES))
    temporary = path / f"{RUN_FILE}.new"
    check_files(path, (*names, *(f"{table}.csv.partial" for table in TABLES)), "folder")
    check_files(path, (temporary.name,), "folder")
    if there := [name for name in names if (path / name).exists()]:
        raise UserError(f"{shown(path)} has a {there[0]} already: name another `folder`")
    files = CsvWriter(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for table in TABLES:
            files.write(table, [{**front, **record} for record in records[table]])
        files.publish()
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        temporary.replace(path / RUN_FILE)
    except OSError as error:
        raise UserError(
            f"{shown(path)} cannot be written ({error.strerror}): name another `folder`"
        ) from None
    finally:
        files.close()
