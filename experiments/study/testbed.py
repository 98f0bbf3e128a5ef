"""The cells of the testbed: runs of compare on data whose needs for width are known."""

from __future__ import annotations

import pathlib
from collections.abc import Set
from typing import NamedTuple

import jax

from experiments.analysis import testbed_table
from experiments.analysis.pictures import style
from experiments.analysis.pictures import testbed as testbed_picture
from experiments.analysis.rendering import terminal
from experiments.analysis.rendering.files import files_of
from experiments.analysis.testbed_table import CORRELATIONS, Place, folder_of
from experiments.config import RunConfig, with_fields
from experiments.rooms import share_of
from experiments.study import run
from experiments.study.arm import arms_of_compare
from hasa_jax.base import UserError
from hasa_jax.simulation.writers import say

DATASET = "synthetic_needs"

_OF_CELLS = ("score_correlation", "size_correlation")


class Cell(NamedTuple):
    """One run of compare.

    Attributes:
      place: its correlations.
      config: its configuration.
      given: fields that its own command would give.
    """

    place: Place
    config: RunConfig
    given: frozenset[str]


def cells_of(config: RunConfig, given: Set[str]) -> list[Cell]:
    """Makes all cells of a testbed.

    Args:
      config: the configuration of all of them.
      given: fields that the user gave.

    Returns:
      A cell for each choice of the correlations of score and size among -1, 0 and 1.

    Raises:
      UserError: for other data, without a folder, for several methods, or if the user gave a
        correlation.
    """
    if config.data.dataset != DATASET:
        raise UserError(f"`dataset` is {config.data.dataset}: the testbed needs {DATASET}")
    if not config.reporting.workdir:
        raise UserError("every cell of the testbed has a folder: name their folder by `workdir`")
    if own := [name for name in _OF_CELLS if name in given]:
        raise UserError(f"`{own[0]}` is what the cells of the testbed differ in: leave it out")
    if len({arm.method for arm in arms_of_compare(config, given)}) > 1:
        raise UserError("`methods` has several methods: the testbed compares policies of one")
    root = pathlib.Path(config.reporting.workdir)
    cells = []
    for place in (Place(score, size) for score in CORRELATIONS for size in CORRELATIONS):
        values = {
            "score_correlation": place.score,
            "size_correlation": place.size,
            "workdir": str(folder_of(root, place)),
            "shard": "1/1",
        }
        fields = given - {"shard"} | {*_OF_CELLS, "workdir"}
        cells.append(Cell(place, with_fields(config, values), frozenset(fields)))
    return cells


def run_cells(config: RunConfig, given: Set[str]) -> None:
    """Runs a share of the cells, and writes the table and the picture of what is there of all.

    Args:
      config: the configuration of all cells.
      given: fields that the user gave.

    Raises:
      UserError: for a configuration that cannot run; at the end without matplotlib.
      Stopped: if a signal asked the run to stop, and it did.
    """
    cells = cells_of(config, given)
    index, number = share_of(config.sweep.shard)
    for cell in cells[index - 1 :: number]:
        say(f"cell {cell.place.name}")
        run.compare(cell.config, cell.given)
        jax.clear_caches()  # Every cell has programs of its own.
    root = pathlib.Path(config.reporting.workdir)
    gains = testbed_table.gains_of(root, config.comparison.reference)
    tables = testbed_table.tables_of(gains)
    for name, text in files_of("testbed", tables, config.reporting.table_formats).items():
        (root / name).write_text(text, encoding="utf-8", newline="")
    say(f"\n{terminal.document(tables)}\n\nresults: {root}")
    style.save(testbed_picture.figure_of(gains), root / testbed_picture.NAME)
