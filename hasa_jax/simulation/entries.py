"""What lies in a folder of results: only regular files and folders, so nothing leads out of it."""

from __future__ import annotations

import os
import pathlib
import stat
from collections.abc import Iterable, Iterator

from hasa_jax.base import UserError
from hasa_jax.datasets.paths import shown


def check_entries(folder: pathlib.Path, argument: str) -> None:
    """Refuses a folder in which something is a link, a pipe, a device or a socket.

    A link would let a run write outside its folder, and reading a pipe may never end. The folder
    itself may be a link.

    Args:
      folder: a folder of results, or nothing.
      argument: what names the folder, for the message.

    Raises:
      UserError: naming the first such entry.
    """
    for entry in _entries(folder):
        _check(entry.path, entry.stat(follow_symlinks=False).st_mode, argument)


def check_files(folder: pathlib.Path, names: Iterable[str], argument: str) -> None:
    """Refuses some names of a folder where a link, a pipe, a device or a socket has them.

    What else lies in the folder may be anything.

    Args:
      folder: where files are about to be written, or nothing.
      names: of these files.
      argument: what names the folder, for the message.

    Raises:
      UserError: naming the first such entry.
    """
    for name in names:
        try:
            mode = os.lstat(folder / name).st_mode
        except OSError:
            continue
        _check(folder / name, mode, argument)


def _check(path: str | os.PathLike[str], mode: int, argument: str) -> None:
    """Raises unless an entry is a regular file or a folder."""
    if stat.S_ISREG(mode) or stat.S_ISDIR(mode):
        return
    what = "a link" if stat.S_ISLNK(mode) else "a pipe, a device or a socket"
    raise UserError(
        f"{shown(path)} is {what}: a folder of results holds only files and folders of its own; "
        f"move it away, or name another folder with `{argument}`"
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
