"""JAX's switches in a user's shell: some change nothing here, the others belong to a run."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any

import jax

_INERT: Mapping[str, Any] = {
    "jax_enable_x64": False,
    "jax_numpy_dtype_promotion": "standard",
    "jax_numpy_rank_promotion": "allow",
    "jax_transfer_guard": "allow",
    "jax_legacy_prng_key": "allow",
    "jax_debug_key_reuse": False,
    "jax_no_tracing": False,
    "jax_no_execution": False,
}
"""Switches that ask code for care or for 64 bits; the scripts run as if they were not set."""

_DECIDING: Mapping[str, Any] = {
    "jax_default_prng_impl": "threefry2x32",
    "jax_threefry_partitionable": True,
    "jax_random_seed_offset": 0,
    "jax_default_matmul_precision": None,
    "jax_disable_jit": False,
    "jax_disable_most_optimizations": False,
    "jax_optimization_level": "UNKNOWN",
    "jax_exec_time_optimization_effort": 0.0,
    "jax_allow_f16_reductions": True,
    "jax_use_direct_linearize": True,
    "jax_softmax_custom_jvp": False,
}
"""Switches that numbers depend on, with JAX's own values."""

_XLA_FLAGS_OF_NO_NUMBER = (
    "--xla_cpu_collective_call_",
    "--xla_dump",
    "--xla_force_host_platform_device_count",
)
"""Beginnings of flags of XLA that change no number, or that the devices of a run.json show."""


def make_inert() -> None:
    """Takes back the switches that would only stop a script, such as strict promotion."""
    for name, value in _INERT.items():
        if name in jax.config.values:
            jax.config.update(name, value)


def deciding_switches(*, deterministic_ops: bool) -> dict[str, Any]:
    """Returns the switches of this process that numbers depend on, where they are not JAX's own.

    Args:
      deterministic_ops: of the configuration, which gives XLA a flag.

    Returns:
      Values as JSON holds them, by the name of the environment variable.
    """
    values = jax.config.values
    found = {
        name.upper(): values[name]
        for name, usual in _DECIDING.items()
        if values.get(name, usual) != usual
    }
    usual = f"--xla_gpu_deterministic_ops={str(deterministic_ops).lower()}"
    chosen = os.environ.get("XLA_FLAGS", "").split()
    flags = [f for f in chosen if f != usual and not f.startswith(_XLA_FLAGS_OF_NO_NUMBER)]
    # XLA takes the last of several.
    flags = {flag.partition("=")[0]: flag for flag in flags}.values()
    return found | ({"XLA_FLAGS": " ".join(sorted(flags))} if flags else {})
