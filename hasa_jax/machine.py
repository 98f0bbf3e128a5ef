"""How much memory the machine has left for this process."""

from __future__ import annotations

import functools
import os
import re
from pathlib import Path
from typing import Any


def available_bytes(device: Any, root: Path = Path("/")) -> int | None:
    """Returns the memory that a run may take on a device.

    Args:
      device: a `jax.Device`: an accelerator, which knows its own limit; or a CPU, whose memory is
        what is free of the host's.
      root: where `proc` and `sys` are.

    Returns:
      Bytes; None for an accelerator that does not know.
    """
    if device.platform != "cpu":
        return (device.memory_stats() or {}).get("bytes_limit")
    return host_bytes(root)


def host_bytes(root: Path = Path("/")) -> int:
    """Returns the memory that this process may still take.

    It is what is free of the machine's, or of a control group's around this process, or of the
    process's own limit of addresses, whichever is least.

    Args:
      root: where `proc` and `sys` are.

    Returns:
      Bytes.
    """
    free = 1024 * _numbers(root / "proc/meminfo").get("MemAvailable", 0)
    return min([free or _installed(), *_group_bytes(root), *_address_bytes(root)])


def resident_bytes(root: Path = Path("/")) -> int:
    """Returns the memory that this process holds now; 0 if the system does not say.

    Args:
      root: where `proc` is.
    """
    return 1024 * _numbers(root / "proc/self/status").get("VmRSS", 0)


def readable(number: int) -> str:
    """Writes bytes in MiB, or in GiB from one on; integers of any size.

    Args:
      number: bytes.
    """
    if number < 2**30:
        return f"{number / 2**20:.1f} MiB"
    # The quotient of larger integers may be no float.
    return f"{number / 2**30:.1f} GiB" if number < 2**50 else f"{number // 2**30} GiB"


def _installed() -> int:
    """Returns the memory of the machine, where the system does not say what is free of it."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def _group_bytes(root: Path) -> list[int]:
    """Returns what is free in the control groups around this process that have a limit."""
    free = []
    for folder, limit in _limited_groups(root):
        use = _numbers(folder / "memory.stat")
        # Pages of files are dropped when memory is short. Groups are of version 2 or 1.
        free.append(limit - (use.get("anon", 0) or use.get("total_rss", 0)))
    return free


@functools.cache
def _limited_groups(root: Path) -> tuple[tuple[Path, int], ...]:
    """Returns the control groups around this process, with limits below the machine's memory.

    Readers of many files ask for every file, so the groups are looked up once.
    """
    text, found = _text(root / "proc/self/cgroup"), []
    for controller, name in re.findall(r"^\d+:(memory|):/(.*)$", text, re.MULTILINE):
        own = root / "sys/fs/cgroup" / controller / name
        for folder in (own, *own.parents):
            for file in ("memory.max", "memory.limit_in_bytes"):
                found += [(folder, limit) for limit in _numbers(folder / file).values()]
    return tuple((folder, limit) for folder, limit in found if limit < _installed())


def _address_bytes(root: Path) -> list[int]:
    """Returns what is left of this process's limit of addresses, if it has one."""
    try:
        import resource
    except ImportError:  # Only Unix has it.
        return []
    limit = resource.getrlimit(resource.RLIMIT_AS)[0]
    if limit == resource.RLIM_INFINITY:
        return []
    return [max(0, limit - 1024 * _numbers(root / "proc/self/status").get("VmSize", 0))]


def _numbers(path: Path) -> dict[str, int]:
    """Reads each line's first number by the word before it, or by "" without a word."""
    found = re.findall(r"^(?:(\S+?):?\s+)?(\d+)\b", _text(path), re.MULTILINE)
    return {name: int(number) for name, number in found}


def _text(path: Path) -> str:
    """Returns the text of a file of the system; none if it is not there, or not readable."""
    try:
        return path.read_text(encoding="utf-8")
    except OSError:
        return ""
