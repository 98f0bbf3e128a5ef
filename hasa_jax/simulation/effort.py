"""How hard XLA tries: a program of a short run is compiled in less time, and runs a little slower.

Measured on CPUs: half of the seconds to compile, for 4 to 14 % more seconds to run.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from typing import Any

import jax

QUICK_SHARE = 0.3
"""A program is compiled quickly if a bucket compiles for more than this share of the run."""

_QUICK = {
    "xla_backend_optimization_level": 1,
    "xla_cpu_use_fusion_emitters": False,
    # Parts that are compiled by themselves pass vectors wrongly at low levels (jaxlib 0.10.2).
    "xla_cpu_parallel_codegen_split_count": 1,
}


def is_quick(bucket_share: float) -> bool:
    """Returns whether a run's programs are compiled quickly: those of short runs, on CPUs.

    Args:
      bucket_share: seconds to compile a bucket over those to run all clients at full size.
    """
    return bucket_share > QUICK_SHARE and jax.default_backend() == "cpu"


def by_effort(function: Callable[..., Any], **options: Any) -> dict[bool, Any]:
    """Jits a function twice.

    Args:
      function: to be compiled.
      **options: of `jax.jit`.

    Returns:
      The function to call, by whether it is compiled quickly. Flags that the user has set in
      XLA_FLAGS stay as they are.
    """
    given = os.environ.get("XLA_FLAGS", "")
    quick = {name: value for name, value in _QUICK.items() if name not in given}
    jit = functools.partial(jax.jit, function, **options)
    return {False: jit(), True: jit(compiler_options=quick)}
