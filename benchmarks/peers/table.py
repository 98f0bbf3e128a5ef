"""Comparisons in a table.

`python -m benchmarks.peers.table benchmarks/results/peers.json`
"""

from __future__ import annotations

import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

_HEADS = (
    "peer",
    "workload",
    "s a round: ours",
    "peer",
    "peer / ours",
    "peak memory: ours",
    "peer",
    "start to first round: ours",
    "peer",
)


def markdown(records: Sequence[Mapping[str, Any]]) -> str:
    """Returns a Markdown table.

    Args:
      records: of `compare.measure`, or with a reason for `not_measured`.

    Returns:
      A line for every record, and a note for every reason.
    """
    lines = [_line(_HEADS), "|---" * len(_HEADS) + "|"]
    notes = []
    for record in records:
        name = record["peer"]
        if "not_measured" in record:
            lines.append(_line((name, record["workload"], *["not measured"] * 7)))
            notes.append(f"{name}, {record['workload']}: {record['not_measured']}")
            continue
        ours, peer = record["ours"], record["theirs"]
        setting = f"{record['setting_name']} {record['setting']}"
        lines.append(
            _line(
                (
                    f"{name} {record['version']} ({setting})",
                    record["workload"],
                    f"{ours['seconds']:.3g}",
                    f"{peer['seconds']:.3g}",
                    f"{peer['seconds'] / ours['seconds']:.2f}",
                    _memory(ours["peak_bytes"]),
                    _memory(peer["peak_bytes"]),
                    f"{ours['start_seconds']:.1f} s",
                    f"{peer['start_seconds']:.1f} s",
                )
            )
        )
    return "\n".join([*lines, *(["", *notes] if notes else [])])


def _line(cells: Sequence[str]) -> str:
    """Returns a line of a table."""
    return f"| {' | '.join(cells)} |"


def _memory(peak: int | None) -> str:
    """Writes bytes; a kernel may not say them."""
    return "not measured" if peak is None else f"{peak / 2**30:.2f} GiB"


def main() -> None:
    """Prints the table of a file that `benchmarks.peers.compare` has written."""
    records = json.loads(pathlib.Path(sys.argv[1]).read_text(encoding="utf-8"))
    print(markdown(records))


if __name__ == "__main__":
    main()
