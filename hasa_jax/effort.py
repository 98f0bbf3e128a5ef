"""How hard XLA tries: what runs little is compiled in less time, and runs a little slower.

Measured on CPUs: half of the seconds to compile, for 4 to 14 % more seconds to run.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Mapping
from typing import Any

import jax

LITTLE: Mapping[str, Any] = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_use_fusion_emitters": False,
    # Parts that are compiled by themselves pass vectors wrongly at low levels (jaxlib 0.10.2).
    "xla_cpu_parallel_codegen_split_count": 1,
}
"""Options of XLA on CPUs for a program that runs little."""


def left_to_us(options: Mapping[str, Any]) -> dict[str, Any]:
    """Returns the options that the user has not set in XLA_FLAGS; those stay as they are."""
    given = os.environ.get("XLA_FLAGS", "")
    return {name: value for name, value in options.items() if name not in given}


def by_effort(function: Callable[..., Any], **options: Any) -> dict[bool, Any]:
    """Jits a function twice.

    Args:
      function: to be compiled.
      **options: of `jax.jit`.

    Returns:
      The function to call, by whether it is compiled quickly: with little effort.
    """
    jit = functools.partial(jax.jit, function, **options)
    return {False: jit(), True: jit(compiler_options=left_to_us(LITTLE))}
