"""Files of tables, by their formats."""

from __future__ import annotations

import os
import pathlib
import socket
from collections.abc import Callable, Mapping, Sequence

from experiments.analysis.merged_name import plain
from experiments.analysis.rendering import csv, html, latex, markdown
from experiments.analysis.table import Table

_SUFFIXES = {"markdown": "md", "latex": "tex", "html": "html"}
_WRITERS: Mapping[str, Callable[[Sequence[Table]], str]] = {
    "markdown": markdown.document,
    "latex": latex.document,
    "html": html.document,
}


def files_of(
    stem: str, tables: Sequence[Table], formats: Sequence[str], text: str = ""
) -> dict[str, str]:
    """Writes tables in some formats.

    Args:
      stem: what the names of the files begin with.
      tables: the tables.
      formats: some of `rooms.TABLE_FORMATS`.
      text: the document in Markdown, if it has more than the tables.

    Returns:
      Contents by names: `STEM.md`, `STEM.tex`, `STEM.html`, and a file of CSV for each table, which
      is called by the name of the table, after the stem if it does not begin with it.
    """
    files: dict[str, str] = {}
    for name in formats:
        if name == "csv":
            files |= {csv_name(stem, table.name): csv.render(table) for table in tables}
        else:
            own = text if name == "markdown" and text else _WRITERS[name](tables)
            files[f"{stem}.{_SUFFIXES[name]}"] = own
    return files


def csv_name(stem: str, table: str) -> str:
    """Names the file of CSV of a table.

    Args:
      stem: what the name begins with.
      table: name of the table.

    Returns:
      The name of the file.
    """
    short = plain(stem)
    own = stem + table.removeprefix(short) if table.startswith(short) else f"{stem}_{table}"
    return f"{own}.csv"


def replace(path: pathlib.Path, text: str) -> None:
    """Replaces a file at once, which processes on other machines may be writing, too.

    Args:
      path: the file.
      text: its content.
    """
    own = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    own.write_text(text, encoding="utf-8", newline="")
    own.replace(path)
