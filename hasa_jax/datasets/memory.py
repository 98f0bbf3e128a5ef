"""Sizes that are refused before any memory is allocated for them."""

from __future__ import annotations

import pathlib

from hasa_jax.base import UserError

_MEMORY = pathlib.Path("/proc/meminfo")


def check_memory(size: int, what: str) -> None:
    """Refuses data that this machine has no memory for, before any is allocated.

    Args:
      size: bytes that the data need.
      what: what needs them, for the message.

    Raises:
      UserError: if `size` is above the available memory.
    """
    available = _available_memory()
    if size > available:
        raise UserError(
            f"{what}: this needs {size / 2**30:.1f} GiB of memory, but {available / 2**30:.1f} GiB "
            "are free: use fewer or smaller examples"
        )


def _available_memory() -> int:
    """Returns the bytes that the system can give; a large number if it does not say."""
    try:
        lines = _MEMORY.read_text(encoding="ascii").splitlines()
        (line,) = [line for line in lines if line.startswith("MemAvailable:")]
        return 1024 * int(line.split()[1])
    except (OSError, ValueError, IndexError):
        return 2**62
