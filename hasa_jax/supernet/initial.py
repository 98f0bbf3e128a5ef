"""The parameters with which a run starts."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
from jax import core

from hasa_jax import keys
from hasa_jax.base import Params
from hasa_jax.effort import LITTLE, left_to_us
from hasa_jax.supernet.types import Model

# It runs once. XLA's simplifier would multiply the constants of consecutive products first.
_EXACT = {**LITTLE, "xla_disable_hlo_passes": "algsimp"}


def initial_params(model: Model, key: jax.Array) -> Params:
    """Initialises the supernet.

    Args:
      model: the supernet.
      key: root key of the run; it is not consumed.

    Returns:
      Its parameters before round 0.
    """
    key = keys.address(key, keys.Stream.INIT)
    if isinstance(key, core.Tracer):
        return model.init(key)  # It is part of a larger program, or only its shapes are asked for.
    return _compiled(model, jax.default_backend())(key)


@functools.cache
def _compiled(model: Model, backend: str) -> Callable[[jax.Array], Params]:
    """Compiles an initialisation into one program: by themselves its steps compile for seconds.

    On CPUs the numbers are those of the steps by themselves, to the last bit.
    """
    return jax.jit(model.init, compiler_options=left_to_us(_EXACT) if backend == "cpu" else None)
