"""Several processes of one run: what the first one decides, all of them know.

All processes call these functions at the same places. In a single process nothing is sent.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import jax
import numpy as np

from hasa_jax.base import UserError


class FirstFailed(UserError):
    """The first process cannot go on; it says why."""


def number() -> int:
    """Returns how many processes share the run; asking starts no backend in a single one."""
    return jax.process_count() if jax.distributed.is_initialized() else 1


def is_first() -> bool:
    """Returns whether this process is the one that writes."""
    return number() == 1 or jax.process_index() == 0


def from_first(act: Callable[[], Any]) -> Any:
    """Lets the first process do something, and gives what came of it to all others.

    Args:
      act: reads or writes files; called in the first process only.

    Returns:
      What it returns, as JSON holds it, in every process.

    Raises:
      FirstFailed: in the other processes, with the message of whatever the first one raises.
    """
    if number() == 1:
        return act()
    found: dict[str, Any] = {}
    raised = None
    if is_first():
        try:
            found = {"value": act()}
        except Exception as error:
            found, raised = {"error": str(error) or type(error).__name__}, error
    shared = json.loads(_from_first_bytes(json.dumps(found).encode()))
    if raised is not None:
        raise raised
    if "error" in shared:
        raise FirstFailed(shared["error"])
    return shared["value"]


def largest(value: int) -> int:
    """Returns the largest of a number that each process has.

    Args:
      value: of this process.

    Returns:
      The largest one, in every process.
    """
    from jax.experimental import multihost_utils

    if number() == 1:
        return value
    return int(multihost_utils.process_allgather(np.int32(value)).max())


def _from_first_bytes(content: bytes) -> bytes:
    """Returns the bytes of the first process; their number is rounded up, so programs are few."""
    from jax.experimental import multihost_utils

    size = int(multihost_utils.broadcast_one_to_all(np.int32(len(content))))
    padded = np.zeros(1 << (size - 1).bit_length(), np.uint8)
    if is_first():
        padded[:size] = np.frombuffer(content, np.uint8)
    return multihost_utils.broadcast_one_to_all(padded)[:size].tobytes()
