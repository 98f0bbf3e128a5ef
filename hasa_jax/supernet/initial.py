"""The parameters with which a run starts."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable

import jax
from jax import core

from hasa_jax import keys
from hasa_jax.base import Params
from hasa_jax.supernet.types import Model

_EXACT = {
    "xla_disable_hlo_passes": "algsimp",
    # It runs once, so it is compiled with little effort; in one part, as low levels need it.
    "xla_backend_optimization_level": 1,
    "xla_cpu_use_fusion_emitters": False,
    "xla_cpu_parallel_codegen_split_count": 1,
}


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

    On CPUs the numbers are those of the steps by themselves, to the last bit: XLA's simplifier,
    which would multiply the constants of consecutive products first, is left out.
    """
    given = os.environ.get("XLA_FLAGS", "")  # What the user has set there stays.
    options = {name: value for name, value in _EXACT.items() if name not in given}
    return jax.jit(model.init, compiler_options=options if backend == "cpu" else None)
