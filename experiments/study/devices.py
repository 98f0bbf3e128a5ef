"""Devices that share a cohort: on CPUs, the host is split into several."""

from __future__ import annotations

import os
from collections.abc import Mapping

import jax

from hasa_jax.base import UserError

_MOST = 8

_PATIENCE = {
    "--xla_cpu_collective_call_warn_stuck_timeout_seconds": 3600,
    "--xla_cpu_collective_call_terminate_timeout_seconds": 30 * 24 * 3600,
}
"""Seconds that a CPU device waits for another before XLA warns, and before it ends the process."""


def usable_cores() -> int:
    """Returns how many cores this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # Only Linux has it.
        return os.cpu_count() or 1


def split_host(wanted: int) -> None:
    """Has JAX make a device of each core, unless the environment says how many; starts nothing.

    Must come before anything that asks JAX for its devices.

    Args:
      wanted: number of devices; 0 for one a core, at most 8.
    """
    by_flag = "--xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if not by_flag and jax.config.values["jax_num_cpu_devices"] < 0:
        jax.config.update("jax_num_cpu_devices", wanted or min(usable_cores(), _MOST))


def wait_for_one_another() -> None:
    """Has CPU devices wait for one another, unless the environment says how long.

    XLA ends a process after 40 s of waiting. A study that shares its cores, or whose machine is put
    to sleep, may wait for longer and loses nothing by it. Must come before JAX starts a backend.
    """
    _add_flags({name: str(seconds) for name, seconds in _PATIENCE.items()})


def choose_kernels(deterministic: bool) -> None:
    """Has XLA take only kernels whose result is the same to the bit, unless the environment says.

    Must come before JAX starts a backend. CPUs and TPUs have no other kernels; on GPUs, sums by
    atomic operations and choices by stopwatch are left out, at some cost in time.

    Args:
      deterministic: whether to.
    """
    _add_flags({"--xla_gpu_deterministic_ops": str(deterministic).lower()})


def _add_flags(values: Mapping[str, str]) -> None:
    """Adds flags of XLA that the environment does not have."""
    chosen = os.environ.get("XLA_FLAGS", "").strip()
    if chosen and not chosen.startswith("-"):
        return  # It names a file of flags, which XLA reads instead.
    own = [f"{name}={value}" for name, value in values.items() if name not in chosen]
    os.environ["XLA_FLAGS"] = " ".join([*chosen.split(), *own])


def start() -> None:
    """Starts JAX on its platform, before anything makes a key or an array.

    Raises:
      UserError: if the platform that the environment asks for cannot start.
    """
    try:
        jax.devices()
    except Exception as error:  # A plugin may raise anything: cuda has an assertion without words.
        wanted = jax.config.values["jax_platforms"] or ""
        lines = str(error).strip().splitlines()
        reason = lines[0].split(" (set JAX_PLATFORMS=")[0].rstrip(".") if lines else "not there"
        raise UserError(
            f"JAX cannot start on JAX_PLATFORMS={wanted} ({reason}): set it to cpu, or leave it "
            "out to use what is there"
        ) from None
