"""How a module is given the context of a forward pass."""

from __future__ import annotations

import inspect
from typing import Any

from hasa_jax.supernet.types import Context


def takes_context(kind: type) -> bool:
    """Returns whether the `__call__` of a class has an argument `context`."""
    return "context" in inspect.signature(kind.__call__).parameters


def context_argument(kind: type, context: Context) -> dict[str, Any]:
    """Returns the context as a keyword, if the `__call__` of a class has that argument."""
    return {"context": context} if takes_context(kind) else {}
