"""The pictures of a page: all that can be drawn, as parts of the file."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import tempfile
from collections.abc import Sequence

from experiments.analysis.pictures import PICTURES, Lacking, style
from experiments.analysis.plots import grouped_sources
from experiments.analysis.report.colours import as_variables
from experiments.analysis.report.embedding import inline_svg
from experiments.analysis.results import Results, Source
from experiments.flags import as_flags

MISSING = "matplotlib is not installed: pip install 'hasa_jax[plots]'"
"""Why no picture is drawn."""


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A picture.

    Attributes:
      name: of the picture.
      title: what it shows, in a few words.
      about: what it shows, in a sentence.
      svg: the element.
      colours: that are variables in it.
    """

    name: str
    title: str
    about: str
    svg: str
    colours: frozenset[str]


def can_draw() -> bool:
    """Returns whether matplotlib is installed."""
    return importlib.util.find_spec("matplotlib") is not None


def draw_all(
    found: Results, sources: Sequence[Source]
) -> tuple[tuple[Drawn, ...], tuple[tuple[str, str], ...]]:
    """Draws all pictures of some results.

    Args:
      found: the results.
      sources: the workdirs that they are merged of; pictures that keep other settings apart are
        drawn of these.

    Returns:
      The pictures; and of those that cannot be drawn, the title and the reason. Without matplotlib
      there are none.
    """
    if not can_draw():
        return (), tuple((picture.title, MISSING) for picture in PICTURES.values())
    drawn, lacking, apart = [], [], grouped_sources(sources)
    for name, picture in PICTURES.items():
        try:
            figure = picture.figure(apart if picture.apart else [found])
        except Lacking as reason:
            lacking.append((picture.title, as_flags(str(reason))))
            continue
        with tempfile.TemporaryDirectory() as folder:
            target = pathlib.Path(folder) / f"{name}.svg"
            style.save(figure, target)
            svg, colours = as_variables(inline_svg(target.read_text(encoding="utf-8"), name))
        drawn.append(Drawn(name, picture.title, picture.about, svg, frozenset(colours)))
    return tuple(drawn), tuple(lacking)
