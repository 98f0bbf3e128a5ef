"""How a module is given the context of a forward pass."""

from __future__ import annotations

import inspect
from typing import Any

from hasa_jax.supernet.types import Context


def takes_context(module: Any) -> bool:
    """Returns whether the `__call__` of a module has an argument `context`."""
    return "context" in inspect.signature(type(module).__call__).parameters


def context_argument(module: Any, context: Context) -> dict[str, Any]:
    """Returns the context as a keyword, if the module's `__call__` has that argument."""
    return {"context": context} if takes_context(module) else {}
