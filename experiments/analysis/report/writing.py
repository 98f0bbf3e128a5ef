"""From workdirs to the file of their report."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from experiments.analysis import results
from experiments.analysis.merged_name import named
from experiments.analysis.report import pictures
from experiments.analysis.report.page import page_of
from experiments.config import RunConfig
from experiments.rooms import ComparisonConfig
from hasa_jax.base import UserError
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.writers import say

NAME = "report.html"
"""Name of the file in a workdir; that of several is `merged_report.html` in the first of them."""


def write(folders: Sequence[pathlib.Path], comparison: ComparisonConfig) -> pathlib.Path:
    """Writes the report of one or more workdirs into the first of them.

    Args:
      folders: the workdirs.
      comparison: names the reference, and the unit in which arms must match.

    Returns:
      The file.

    Raises:
      UserError: if a folder holds no results, if they cannot be compared, or if the file cannot be
        written.
    """
    text = page_of(list(map(results.source_of, folders)), comparison)
    name = named(NAME, folders)
    check_files(folders[0], (name,), "workdir")
    target = folders[0] / name
    try:
        target.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise UserError(
            f"{target} cannot be written ({error.strerror}): make it writable, or copy the folder "
            "and name the copy first in `workdir`"
        ) from None
    return target


def report(config: RunConfig) -> None:
    """Writes the report of one or more workdirs, and says where it is and how large.

    Args:
      config: names the workdirs, and the arm that others are compared with.

    Raises:
      UserError: as `write`.
    """
    target = write(results.folders_of(config.reporting.workdir), config.comparison)
    if not pictures.can_draw():
        say(f"the report has no pictures: {pictures.MISSING}")
    say(f"{target} ({target.stat().st_size / 1000:,.0f} kB)")
