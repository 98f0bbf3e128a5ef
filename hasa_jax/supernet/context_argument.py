"""How a module is given the context of a forward pass."""

from __future__ import annotations

import inspect
from typing import Any

import flax.linen as nn

from hasa_jax.supernet.types import Context


def context_argument(module: nn.Module, context: Context) -> dict[str, Any]:
    """Returns the context as a keyword, if the module's `__call__` has that argument."""
    wanted = "context" in inspect.signature(type(module).__call__).parameters
    return {"context": context} if wanted else {}
