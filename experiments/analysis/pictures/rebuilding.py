"""The pictures of documents, drawn again from the committed results."""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from experiments.analysis import testbed_table
from experiments.analysis.pictures import PICTURES, Lacking, partition, style, testbed
from experiments.analysis.results import Results
from hasa_jax.base import UserError

TESTBED, PARTITION = "testbed", "partition"
"""Pictures that are not of results but of a testbed, and of a table of who holds what."""


def drawn(
    wanted: Mapping[str, Sequence[str]], folder: pathlib.Path, results_of: Callable[[str], Results]
) -> Iterator[tuple[str, bytes]]:
    """Draws pictures of documents.

    Args:
      wanted: by the path of the file: the name of the picture, and those of its groups of workdirs.
      folder: where the results are.
      results_of: reads the workdirs of a group by its name.

    Yields:
      The path and the content of each file.

    Raises:
      UserError: for a picture that there is not, or that cannot be drawn.
    """
    for path, (name, *groups) in wanted.items():
        if name != TESTBED and name not in PICTURES:
            raise UserError(f"{path}: there is no picture {name!r}")
        try:
            figure = _figure(name, groups, folder, results_of)
        except Lacking as reason:
            raise UserError(f"{path}: {name} is not drawn: {reason}") from None
        yield path, style.content_of(figure, pathlib.PurePath(path).suffix.removeprefix("."))


def _figure(
    name: str,
    groups: Sequence[str],
    folder: pathlib.Path,
    results_of: Callable[[str], Results],
) -> Any:
    """Draws one picture."""
    if name == TESTBED:
        return testbed.figure_of(testbed_table.gains_of(folder / groups[0], ""))
    if name == PARTITION:
        return partition.figure_of(partition.bars_of(folder / groups[0] / partition.FILE))
    return PICTURES[name].figure([results_of(group) for group in groups])
