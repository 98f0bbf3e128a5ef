"""Pictures of one or more workdirs, written into the first of them."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from experiments.analysis import results
from experiments.analysis.merged_name import named
from experiments.analysis.pictures import PICTURES, Lacking, style
from experiments.config import RunConfig
from experiments.flags import as_flags
from hasa_jax.base import UserError
from hasa_jax.simulation.writers import say


def report(config: RunConfig) -> None:
    """Draws pictures of workdirs into the first of them.

    Workdirs that match but for seeds, policies and methods are drawn as one. What cannot be drawn
    is said in a line.

    Args:
      config: names the workdirs, with commas between them, the pictures and the formats.

    Raises:
      UserError: for an unknown picture, if none can be drawn, if matplotlib is missing, or if a
        folder holds no results.
    """
    chosen = config.reporting
    names = chosen.pictures or tuple(PICTURES)
    for name in names:
        if name not in PICTURES:
            raise UserError(f"unknown `pictures` {name!r}: use some of {','.join(PICTURES)}")
    folders = results.folders_of(chosen.workdir)
    groups = grouped(folders)
    drawn = [draw(name, groups, folders[0], chosen.picture_formats) for name in names]
    if not any(drawn):
        raise UserError("no picture can be drawn of these results: the lines above say why")


def draw(
    name: str,
    groups: Sequence[results.Results],
    folder: pathlib.Path,
    formats: Sequence[str] = ("png",),
) -> bool:
    """Draws one picture into a file for each format, and says where it is.

    Args:
      name: of the picture, one of `PICTURES`.
      groups: results; the workdirs of each match.
      folder: where the files go; they are called by the name of the picture, after `merged_` if
        there are several workdirs.
      formats: suffixes of files, of `rooms.PICTURE_FORMATS`.

    Returns:
      Whether it could be drawn; if not, the reason is said.

    Raises:
      UserError: if matplotlib is missing.
    """
    try:
        figure = PICTURES[name].figure(groups)
    except Lacking as reason:
        say(f"{name} is not drawn: {as_flags(str(reason))}")
        return False
    workdirs = [own for group in groups for own in group.folders]
    for suffix in formats:
        target = folder / named(f"{name}.{suffix}", workdirs)
        style.save(figure, target)
        say(str(target))
    return True


def grouped(folders: Sequence[pathlib.Path]) -> list[results.Results]:
    """Merges the workdirs that differ in nothing but seeds, policies and methods.

    Args:
      folders: the workdirs.

    Returns:
      Results of each group of such workdirs, in their order.

    Raises:
      UserError: if a folder holds no results.
    """
    return grouped_sources(list(map(results.source_of, folders)))


def grouped_sources(sources: Sequence[results.Source]) -> list[results.Results]:
    """Merges workdirs as `grouped` does.

    Args:
      sources: the workdirs.

    Returns:
      Results of each group.
    """
    groups: list[list[results.Source]] = []
    for source in sources:
        group = next((own for own in groups if results.same_settings(own[0], source)), None)
        if group is None:
            groups.append([source])
        else:
            group.append(source)
    return [results.merge(group) for group in groups]
