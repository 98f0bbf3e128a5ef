"""Paths and files that users name: expanded, and only opened if they are regular files."""

from __future__ import annotations

import os
import pathlib
import stat
from typing import BinaryIO

from hasa_jax.base import UserError
from hasa_jax.datasets.memory import check_memory

_FLAGS: int = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)


def path_of(value: str | os.PathLike[str]) -> pathlib.Path:
    """Returns a path that a user gave.

    Args:
      value: a text or any path-like; `~` at its start means the home folder.

    Returns:
      The expanded path; it may not exist.

    Raises:
      UserError: if it is empty, is no path, has a NUL character or is not UTF-8.
    """
    try:
        text = os.fspath(value)
    except TypeError:
        raise UserError(f"{value!r} is no path: give a text or a pathlib.Path") from None
    text = os.fsdecode(text)
    if not text or "\0" in text:
        raise UserError(f"{text!r} is no path: give the path of a file or folder")
    if not is_text(text):
        raise UserError(f"{shown(text)} is not UTF-8: rename the folder or file")
    try:
        return pathlib.Path(text).expanduser()
    except RuntimeError:
        raise UserError(f"{shown(text)} names no home folder that exists: write it out") from None


def is_text(name: str) -> bool:
    """Returns whether a name is valid Unicode: names of files may be any bytes."""
    return not any("\ud800" <= character <= "\udfff" for character in name)


def shown(path: str | os.PathLike[str]) -> str:
    """Returns a path for a message of one line: bytes and control characters are escaped."""
    text = os.fspath(path).encode("utf-8", "backslashreplace").decode()
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def check_regular(path: pathlib.Path) -> None:
    """Refuses what exists but is no regular file: reading a pipe or a device may never end.

    Args:
      path: a file, a link to a file, or nothing.

    Raises:
      UserError: if it is a pipe, a device or a socket.
    """
    try:
        mode = path.stat().st_mode
    except OSError:
        return
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        raise UserError(f"{shown(path)} is a pipe, a device or a socket: give a regular file")


def opened(path: pathlib.Path, what: str, *, fits: bool = True) -> BinaryIO:
    """Opens a regular file; every reader opens its files here.

    Args:
      path: the file.
      what: what the file should be, for messages ("a CSV file").
      fits: whether its size must fit the memory of this machine.

    Returns:
      A binary stream at the start of the file.

    Raises:
      UserError: if it does not exist, is no regular file, cannot be read or is too large.
    """
    name = shown(path)
    check_regular(path)
    try:
        # A pipe that replaces the file after the check does not block.
        descriptor = os.open(path, _FLAGS)
    except FileNotFoundError:
        raise UserError(f"{name} does not exist: give the path of {what}") from None
    except IsADirectoryError:
        raise UserError(f"{name} is a directory: give the path of {what}") from None
    except OSError as error:
        raise UserError(f"{name} cannot be read ({error.strerror}): check the file") from None
    try:
        found = os.fstat(descriptor)
        if stat.S_ISDIR(found.st_mode):
            raise UserError(f"{name} is a directory: give the path of {what}")
        if not stat.S_ISREG(found.st_mode):
            raise UserError(f"{name} is a pipe, a device or a socket: give a regular file")
        if fits:
            check_memory(found.st_size, name)
    except UserError:
        os.close(descriptor)
        raise
    return os.fdopen(descriptor, "rb")


def content_of(path: pathlib.Path, what: str) -> bytes:
    """Reads a regular file.

    Args:
      path: the file.
      what: what the file should be, for messages ("a CSV file").

    Returns:
      Its bytes.

    Raises:
      UserError: as `opened`.
    """
    with opened(path, what) as stream:
        try:
            return stream.read()
        except OSError as error:
            raise UserError(
                f"{shown(path)} cannot be read ({error.strerror}): check the file"
            ) from None
