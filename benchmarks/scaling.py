"""How cost grows: with the budget, with clients, with devices, and compiling with a warm cache.

`python -m benchmarks.scaling --study=budgets,clients,devices,compile --out=scaling.json`
"""

from __future__ import annotations

import argparse
import json
import pathlib
import sys
import tempfile
from collections.abc import Mapping
from typing import Any

from benchmarks import processes
from benchmarks.rounds import COMPILATION, add_engine_flags, compilation

_BUDGETED = ("titles", "resnet18")
_BUDGETS = (1.0, 0.5, 0.25, 0.125)
_CLIENTS = (10, 100, 1000, 10000)
_DEVICES = (1, 2, 4, 8)
_CLIENTS_OF_DEVICE = {"mlp": 16}
_COMPILED = ("titles", "cnn", "tiny")


def budgets(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Times narrower and narrower uniform subnets.

    Args:
      given: the flags.

    Returns:
      For each workload its budgets, seconds of a round, and their ratio to the first budget's.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for workload in _BUDGETED:
        rows: list[dict[str, Any]] = []
        for budget in given.budgets:
            record = _measure(given, {"workload": workload, "options": {"budget": budget}})
            rows.append({"budget": budget, **_costs(record)})
            rows[-1]["ratio"] = rows[-1]["seconds"] / rows[0]["seconds"]
            print(f"{workload}, B = {budget:g}: {_told(rows[-1])}", flush=True)
        found[workload] = rows
    return found


def clients(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Times more and more clients of the perceptron, one step each: all of them, and a share.

    Args:
      given: the flags.

    Returns:
      For `all` and `share` the numbers of clients, and seconds of a round and of a client in it.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for name, share in (("all", 1.0), ("share", given.share)):
        rows: list[dict[str, Any]] = []
        for number in given.clients:
            drawn = max(1, round(number * share))
            options = {"clients": number, "clients_per_round": drawn, "steps": 1}
            record = _measure(given, {"workload": "mlp", "options": options})
            rows.append({"clients": number, "in_a_round": drawn, **_costs(record)})
            rows[-1]["seconds_a_client"] = rows[-1]["seconds"] / drawn
            rows[-1]["ratio"] = rows[-1]["seconds"] / rows[0]["seconds"]
            print(f"mlp, {drawn} of {number} clients: {_told(rows[-1])}", flush=True)
        found[name] = rows
    return found


def devices(given: argparse.Namespace) -> dict[str, list[dict[str, Any]]]:
    """Gives every device of the host the same number of clients, all of which take part.

    Work of a device stays the same, so ideal devices would keep the time. Devices of a CPU share
    its cores, so with `c` cores the time of `P` of them is `P / c` times that of `c` or more.

    Args:
      given: the flags.

    Returns:
      For each number of devices, the largest share of the work over an even one, the bytes that
      devices add up, and seconds of a round.
    """
    found: dict[str, list[dict[str, Any]]] = {}
    for workload, own in _CLIENTS_OF_DEVICE.items():
        rows: list[dict[str, Any]] = []
        for number in given.devices:
            options = {"clients": own * number, "clients_per_round": 0}
            given.host_devices = number
            record = _measure(given, {"workload": workload, "options": options})
            shares = record["shares_of_devices"]
            rows.append(
                {
                    "devices": number,
                    "largest_share": max(shares) * number,
                    "message_bytes": record["message_bytes"] if number > 1 else 0,
                    **_costs(record),
                }
            )
            rows[-1]["ratio"] = rows[-1]["seconds"] / rows[0]["seconds"]
            print(
                f"{workload}, {number} devices: largest share of the work "
                f"{rows[-1]['largest_share']:.3f} of an even one, "
                f"{rows[-1]['message_bytes']} bytes added up; {_told(rows[-1])}",
                flush=True,
            )
        found[workload] = rows
    return found


def compiling(given: argparse.Namespace) -> dict[str, dict[str, Any]]:
    """Compiles every program twice, in two processes that share an empty cache.

    Args:
      given: the flags.

    Returns:
      For each workload, seconds of tracing, lowering and compiling, `cold` and `warm`.
    """
    found: dict[str, dict[str, Any]] = {}
    for workload in _COMPILED:
        with tempfile.TemporaryDirectory() as folder:
            # By default JAX leaves out of the cache what compiles fast.
            cache = {
                "JAX_COMPILATION_CACHE_DIR": folder,
                "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
                "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            }
            spec = {"workload": workload, "repeats": 1}
            rows = {name: _measure(given, spec, **cache) for name in ("cold", "warm")}
        found[workload] = {
            name: {key: record[key] for key in COMPILATION} for name, record in rows.items()
        }
        cold, warm = (compilation(rows[name]) for name in ("cold", "warm"))
        print(f"{workload}: cold {cold}; warm {warm}", flush=True)
    return found


STUDIES = {"budgets": budgets, "clients": clients, "devices": devices, "compile": compiling}
"""Functions of the flags, by name."""


def _measure(given: argparse.Namespace, spec: Mapping[str, Any], **changes: str) -> dict[str, Any]:
    """Runs a measurement without the machine's limit in a process of its own."""
    full = {
        "repeats": given.repeats,
        "rounds": given.rounds,
        "client_block": given.client_block,
        "limit": False,
        **spec,
    }
    env = processes.environment(given.host_devices, **changes)
    return processes.run(processes.measure_command(full), env)


def _costs(record: Mapping[str, Any]) -> dict[str, Any]:
    """Picks what is compared out of a record."""
    names = (
        "seconds",
        "least_seconds",
        "all_seconds",
        "layout_seconds",
        *COMPILATION,
        "useful_flops",
        "useful_gflops",
        "peak_bytes",
        "data_bytes",
    )
    return {name: record[name] for name in names}


def _told(row: Mapping[str, Any]) -> str:
    """Returns a row in words."""
    return (
        f"{row['seconds']:.4g} s a round, {row['ratio']:.3f} of the first; "
        f"{compilation(row)}; peak {row['peak_bytes'] / 2**30:.2f} GiB"
    )


def numbers(kind: type) -> Any:
    """Returns a parser of numbers with commas between them.

    Args:
      kind: of the numbers.
    """
    return lambda text: [kind(part) for part in text.split(",")]


def arguments() -> argparse.Namespace:
    """Parses the command line.

    Returns:
      The flags; `study` is a list of names.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument("--study", default=",".join(STUDIES), help=f"of {', '.join(STUDIES)}")
    parser.add_argument("--budgets", type=numbers(float), default=list(_BUDGETS))
    parser.add_argument("--clients", type=numbers(int), default=list(_CLIENTS))
    parser.add_argument("--devices", type=numbers(int), default=list(_DEVICES))
    parser.add_argument("--share", type=float, default=0.1, help="of clients that are drawn")
    parser.add_argument("--repeats", type=int, default=5, help="scans that are timed")
    parser.add_argument("--rounds", type=int, default=0, help="in one scan; 0: the workload's own")
    add_engine_flags(parser)
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file")
    given = parser.parse_args()
    given.study = [name for name in given.study.split(",") if name]
    for name in given.study:
        if name not in STUDIES:
            parser.error(f"unknown study {name!r}: use one of {', '.join(STUDIES)}")
    return given


def main() -> None:
    """Runs the studies and writes what they find."""
    given = arguments()
    found: dict[str, Any] = {"host_devices": given.host_devices, "cores": processes.cores()}
    for name in given.study:
        try:
            found[name] = STUDIES[name](given)
        except processes.ProcessError as error:
            sys.exit(error.status)
        if given.out:
            given.out.parent.mkdir(parents=True, exist_ok=True)
            given.out.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
