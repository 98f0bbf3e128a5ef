"""What a picture is: a title, what it shows and needs, and how it is drawn."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

from experiments.analysis.merged_name import named
from experiments.analysis.pictures import style
from experiments.analysis.results import Results


class Lacking(Exception):
    """Results lack what a picture needs; the message says what, in words that follow a colon."""


def first_file(
    groups: Sequence[Results], name: str, how: str, *, merged: bool = False
) -> pathlib.Path:
    """Finds the first workdir that has a file.

    Args:
      groups: results.
      name: of the file.
      how: what writes it.
      merged: whether a group of several workdirs has one of its own, which comes first.

    Returns:
      Its path.

    Raises:
      Lacking: if no workdir has it.
    """
    for own in groups:
        names = (named(name, own.folders), name) if merged else (name,)
        for path in (folder / one for one in names for folder in own.folders):
            if path.exists():
                return path
    raise Lacking(f"no workdir has {name}: run {how}")


@dataclasses.dataclass(frozen=True)
class Picture:
    """An entry of the table of pictures.

    Attributes:
      title: what it shows, in a few words.
      about: what it shows and what it needs, in a sentence or two.
      make: draws some results into a figure of matplotlib. Workdirs that match are one of them;
        others are drawn beside each other. It raises `Lacking` where none has what it needs.
      apart: whether workdirs of other settings cannot share a row of panels.
    """

    title: str
    about: str
    make: Callable[[Sequence[Results]], Any]
    apart: bool = False

    def figure(self, groups: Sequence[Results]) -> Any:
        """Draws the results of several groups of workdirs.

        Args:
          groups: results; the workdirs of each match.

        Returns:
          The figure of matplotlib.

        Raises:
          Lacking: with the reason, where the results lack what it needs.
          UserError: if matplotlib is missing.
        """
        with style.applied():
            return self.make(groups)
