"""What files of results are called: those of several workdirs replace none of the first one."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

_MERGED = "merged_"


def named(name: str, folders: Sequence[pathlib.Path]) -> str:
    """Names a file that goes into the first of some workdirs.

    Args:
      name: of the file for one workdir.
      folders: the workdirs that it is made of.

    Returns:
      The name, which begins with `merged_` for several workdirs.
    """
    return f"{_MERGED}{name}" if len(folders) > 1 else name


def plain(name: str) -> str:
    """Returns what a file is called for one workdir.

    Args:
      name: from `named`.

    Returns:
      The name without `merged_`.
    """
    return name.removeprefix(_MERGED)
