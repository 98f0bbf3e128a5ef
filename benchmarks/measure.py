"""One measurement in a process of its own; `benchmarks.rounds` and the others start it.

`python -m benchmarks.measure '{"workload": "tiny"}'`
"""

from __future__ import annotations

import json
import resource
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
from jax.sharding import NamedSharding, PartitionSpec

import hasa_jax as hj
from benchmarks import base, limit, turns, workloads
from hasa_jax.execution.mesh import mesh_of
from hasa_jax.execution.sharding import put
from hasa_jax.simulation.round import init_state

_DEFAULTS: dict[str, Any] = {
    "workload": "",
    "options": {},
    "repeats": 5,
    "rounds": 0,
    "client_block": 0,
    "limit": True,
    "on_request": False,
}
"""What a specification may hold; see `measure`."""


def measure(spec: dict[str, Any]) -> dict[str, Any]:
    """Compiles a workload, times its rounds, and measures the machine's limit.

    Args:
      spec: `workload` and the `options` of its builder; `repeats` of a scan of `rounds` (0: the
        workload's own number); `client_block`; whether to measure the `limit`; whether to run
        `on_request`, as `turns.serve` does.

    Returns:
      Seconds, bytes and floating-point operations, by name.

    Raises:
      UserError: for a workload that there is not, or that cannot be built.
    """
    base_bytes = _peak_bytes()
    workload = _build(spec)
    num_rounds = spec["rounds"] or workload.rounds
    run, compiling = _compiled(workload, num_rounds)
    run()  # The first run touches memory that later ones find mapped.
    if spec["on_request"]:
        turns.serve(lambda: run() / num_rounds)
        return {}
    # Read before the limit is measured, which needs memory of its own.
    memory = {
        "peak_bytes": _peak_bytes(),
        "base_bytes": base_bytes,  # Of Python and its imports alone.
        "data_bytes": _bytes(workload.train),
    }
    cohorts = base.stretch(workload, num_rounds)
    works = limit.works_of(workload, num_rounds)
    timed, found = _in_turns(
        lambda: run() / num_rounds, spec["repeats"], works if spec["limit"] else None
    )
    flops, seconds = limit.useful_flops(works), timed["seconds"]
    record: dict[str, Any] = {
        "workload": workload.name,
        "options": spec["options"],
        "rounds": num_rounds,
        **compiling,
        **timed,
        **memory,
        "shares_of_devices": base.shares_of_devices(workload, cohorts),
        "message_bytes": base.message_bytes(workload, cohorts.layout),
        "useful_flops": flops,
        "useful_gflops": 1e-9 * flops / seconds,
        "machine": _machine(),
    }
    if found:
        record["limit"] = found._asdict()
        record["fraction_of_limit"] = found.seconds / seconds
        record["fraction_of_least"] = found.seconds / timed["least_seconds"]
    return record


def _in_turns(
    one_round: Callable[[], float], repeats: int, works: Mapping[int, limit.Work] | None
) -> tuple[dict[str, Any], limit.Limit | None]:
    """Times half of the rounds, the limit, the other half, and the limit again.

    So a machine that grows faster or slower meanwhile favours neither.

    Args:
      one_round: runs rounds and returns the seconds of one.
      repeats: how often.
      works: a round's work, by size; None without the limit.

    Returns:
      What `turns.summary` returns, with the seconds that the limit took; and the limit.
    """
    before = repeats // 2
    seconds = [one_round() for _ in range(before)]
    began = time.perf_counter()
    measured = limit.measure(works, len(jax.devices())) if works else None
    took = time.perf_counter() - began
    seconds += [one_round() for _ in range(repeats - before)]
    if not measured:
        return turns.summary(seconds), None
    began = time.perf_counter()
    found = limit.limit_of(limit.again(measured))
    took += time.perf_counter() - began
    return {**turns.summary(seconds), "limit_took": took}, found


def _build(spec: dict[str, Any]) -> base.Workload:
    """Builds the workload of a specification."""
    name = spec["workload"]
    if name not in workloads.WORKLOADS:
        known = ", ".join(workloads.WORKLOADS)
        raise hj.UserError(f"unknown workload {name!r}: use one of {known}")
    engine = base.Engine(spec["client_block"] or 0, f"clients:{len(jax.devices())}")
    return workloads.WORKLOADS[name](engine, **spec["options"])


def _compiled(
    workload: base.Workload, num_rounds: int
) -> tuple[Callable[[], float], dict[str, float]]:
    """Compiles a scan of rounds.

    Args:
      workload: the workload.
      num_rounds: rounds of the scan.

    Returns:
      A function that runs them and returns the seconds, and the seconds of layout, tracing,
      lowering and compiling: the last are XLA's.
    """
    run_program = workload.program
    began = time.perf_counter()
    cohorts = base.stretch(workload, num_rounds)
    laid_out = time.perf_counter()
    state = init_state(run_program, base.KEY)
    # On all devices at once, as in a run: a copy of the data in each call would be timed as well.
    everywhere = NamedSharding(mesh_of(cohorts.layout.mesh), PartitionSpec())
    state, train, cohorts = put((state, workload.train, cohorts), everywhere)
    jax.block_until_ready((train, cohorts, state))
    placed = time.perf_counter()

    def rounds(state: Any, train: Any, cohorts: Any) -> Any:
        return hj.scan_rounds(run_program, state, train, cohorts)[0]

    # A run keeps no metrics of training, so that they are not computed.
    trace = jax.jit(rounds).trace(state, train, cohorts)
    traced = time.perf_counter()
    lowering = trace.lower()
    lowered = time.perf_counter()
    program = lowering.compile()
    compiled = time.perf_counter()

    def run() -> float:
        start = time.perf_counter()
        jax.block_until_ready(program(state, train, cohorts))
        return time.perf_counter() - start

    return run, {
        "layout_seconds": laid_out - began,
        "trace_seconds": traced - placed,
        "lower_seconds": lowered - traced,
        "compile_seconds": compiled - lowered,
    }


def _bytes(tree: Any) -> int:
    """Counts the bytes of the arrays in a tree."""
    return sum(leaf.nbytes for leaf in jax.tree.leaves(tree))


def _peak_bytes() -> int:
    """Returns the most memory that this process has held; on Linux the kernel counts in KiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _machine() -> dict[str, Any]:
    """Says what the measurement ran on."""
    device = jax.devices()[0]
    return {
        "devices": len(jax.devices()),
        "device": device.device_kind,
        "platform": device.platform,
        "jax": jax.__version__,
        "hasa_jax": hj.__version__,
    }


def main() -> None:
    """Measures what the one argument specifies, and prints the record as one line of JSON."""
    spec = {**_DEFAULTS, **json.loads(sys.argv[1])}
    try:
        record = measure(spec)
    except hj.UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
    if record:
        print(json.dumps(record))


if __name__ == "__main__":
    main()
