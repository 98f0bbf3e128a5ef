"""Seconds of a round, compilation, memory, and the share of what the machine could do.

`python -m benchmarks.rounds --workload=titles --repeats=3`
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import processes

COMPILATION = ("trace_seconds", "lower_seconds", "compile_seconds")
"""What a record holds of compilation; the last are XLA's, the others JAX's."""

FRACTIONS = ("fraction_of_limit", "fraction_of_least")
"""Shares of the limit in a record: that of the median round, and that of the least."""

_NAMES = ("titles", "mlp", "cnn", "resnet18", "transformer", "tiny")


def arguments() -> argparse.Namespace:
    """Parses the command line.

    Returns:
      The flags; `workload` is a list of names.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--workload",
        action="append",
        help=f"of {', '.join(_NAMES)}; repeat it or separate by commas; by default all",
    )
    parser.add_argument("--repeats", type=int, default=5, help="scans that are timed")
    parser.add_argument("--runs", type=int, default=1, help="of each workload, one process each")
    parser.add_argument("--rounds", type=int, default=0, help="in one scan; 0: the workload's own")
    add_engine_flags(parser)
    parser.add_argument(
        "--limit",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="measure what the machine could do",
    )
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for all records")
    given = parser.parse_args()
    listed = given.workload or [",".join(_NAMES)]
    given.workload = [name for part in listed for name in part.split(",") if name]
    for name in given.workload:
        if name not in _NAMES:
            parser.error(f"unknown workload {name!r}: use one of {', '.join(_NAMES)}")
    return given


def add_engine_flags(parser: argparse.ArgumentParser) -> None:
    """Adds the flags that say how the engine runs.

    Args:
      parser: takes them.
    """
    parser.add_argument(
        "--host_devices",
        type=int,
        default=processes.cores(),
        help="devices that the CPU is split into, which share a cohort; by default one a core",
    )
    parser.add_argument(
        "--client_block", type=int, help="clients in one vmap; by default the engine's choice"
    )


def line(record: dict[str, Any]) -> str:
    """Returns a record of `benchmarks.measure` in one line.

    Args:
      record: the record.

    Returns:
      The line.
    """
    parts = [
        f"{record['seconds']:.4g} s a round (least {record['least_seconds']:.4g})",
        f"{1 / record['seconds']:.3g} rounds/s",
        compilation(record),
        f"{record['useful_gflops']:.1f} useful GFLOP/s",
    ]
    if "limit" in record:
        share, most = (record[name] for name in FRACTIONS)
        parts.append(
            f"limit {record['limit']['seconds']:.4g} s, {share:.1%} of it (most {most:.1%})"
        )
    parts.append(f"peak {record['peak_bytes'] / 2**30:.2f} GiB")
    return f"{record['workload']}: {'; '.join(parts)}"


def compilation(record: Mapping[str, Any]) -> str:
    """Returns the seconds of a record's compilation in words."""
    seconds = [record[name] for name in COMPILATION]
    return "tracing {:.2f} s, lowering {:.2f} s, XLA {:.2f} s".format(*seconds)


def fractions(records: Sequence[Mapping[str, Any]]) -> list[str]:
    """Sums up the shares of the limit that several runs of each workload reached.

    Args:
      records: of `benchmarks.measure`.

    Returns:
      A line for each workload that was measured with its limit.
    """
    lines = []
    for workload in dict.fromkeys(record["workload"] for record in records):
        own = [one for one in records if one["workload"] == workload and "limit" in one]
        if own:
            median, least = ([one[name] for one in own] for name in FRACTIONS)
            lines.append(
                f"{workload}: {len(own)} runs; of the median round {min(median):.1%} to "
                f"{max(median):.1%}, of the least {min(least):.1%} to {max(least):.1%}"
            )
    return lines


def main() -> None:
    """Measures every workload in a process of its own."""
    given = arguments()
    records = []
    for name in [name for name in given.workload for _ in range(given.runs)]:
        spec = {
            "workload": name,
            "repeats": given.repeats,
            "rounds": given.rounds,
            "client_block": given.client_block,
            "limit": given.limit,
        }
        command = processes.measure_command(spec)
        try:
            record = processes.run(command, processes.environment(given.host_devices))
        except processes.ProcessError as error:
            sys.exit(error.status)
        print(line(record), flush=True)
        records.append(record)
        # Written after each, so that an interruption loses one run at most.
        if given.out:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")
    if given.runs > 1:
        print("\n".join(fractions(records)))


if __name__ == "__main__":
    main()
