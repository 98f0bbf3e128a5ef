"""Sizes that are refused before any memory is allocated for them."""

from __future__ import annotations

from hasa_jax import machine
from hasa_jax.base import UserError


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
            f"{what}: this needs {machine.readable(size)} of memory, but "
            f"{machine.readable(available)} are free: use fewer or smaller examples"
        )


def _available_memory() -> int:
    """Returns the bytes that this process may still take."""
    return machine.host_bytes()
