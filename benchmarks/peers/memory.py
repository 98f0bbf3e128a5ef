"""How much memory a process and those that it has started hold."""

from __future__ import annotations

import pathlib

_PROCESSES = pathlib.Path("/proc")


def peak_bytes(pid: int) -> int | None:
    """Adds up the most that each process of a tree has held.

    Of several processes, the pages that they share now count by their share: libraries and
    shared memory are not counted once for each.

    Args:
      pid: the first process.

    Returns:
      Bytes; None where the kernel has no `/proc` with them.
    """
    tree = _tree(pid)
    if not tree:
        return None
    peaks = [_kibibytes(number, "status")["VmHWM"] for number in tree]
    shared = 0
    if len(tree) > 1:
        rollups = [_kibibytes(number, "smaps_rollup") for number in tree]
        shared = sum(rollup["Rss"] - rollup["Pss"] for rollup in rollups)
    return 1024 * (sum(peaks) - shared)


def _tree(pid: int) -> list[int]:
    """Lists a process and all below it; nothing without `/proc`."""
    parents = {}
    for status in _PROCESSES.glob("[0-9]*/stat"):
        try:
            text = status.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue  # It has ended meanwhile.
        # The name before it, in brackets, may hold spaces.
        state, parent, *_ = text.rpartition(")")[2].split()
        if state != "Z":
            parents[int(status.parent.name)] = int(parent)
    tree = [pid] if pid in parents else []
    for found in tree:
        tree.extend(number for number, parent in parents.items() if parent == found)
    return tree


def _kibibytes(pid: int, name: str) -> dict[str, int]:
    """Reads the lines `name: number kB` of a file of a process."""
    lines = (_PROCESSES / str(pid) / name).read_text(encoding="utf-8").splitlines()
    pairs = [line.split(":", 1) for line in lines if line.endswith(" kB")]
    return {key: int(value.split()[0]) for key, value in pairs}
