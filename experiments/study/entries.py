"""What lies in a workdir: only regular files and folders, so that nothing leads out of it."""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Iterator

from hasa_jax.base import UserError
from hasa_jax.datasets.paths import shown


def check_entries(folder: pathlib.Path) -> None:
    """Refuses a workdir in which something is a link, a pipe, a device or a socket.

    A link would let a run write outside its workdir, and reading a pipe may never end. The folder
    itself may be a link.

    Args:
      folder: a workdir, or nothing.

    Raises:
      UserError: naming the first such entry.
    """
    for entry in _entries(folder):
        mode = entry.stat(follow_symlinks=False).st_mode
        if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
            continue
        what = "a link" if stat.S_ISLNK(mode) else "a pipe, a device or a socket"
        raise UserError(
            f"{shown(entry.path)} is {what}: a workdir holds only files and folders of its own; "
            "move it away, or name another folder with `workdir`"
        )


def _entries(folder: str | os.PathLike[str]) -> Iterator[os.DirEntry[str]]:
    """Yields what lies in a folder and in its folders, without following links."""
    try:
        found = list(os.scandir(folder))
    except OSError:
        return
    for entry in found:
        yield entry
        if entry.is_dir(follow_symlinks=False):
            yield from _entries(entry.path)
