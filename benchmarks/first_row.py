"""What a user waits for: seconds from the start of a process to its first result, and to its end.

`python -m benchmarks.first_row --workload=demo --repeats=3`
"""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from benchmarks.processes import ProcessError

_ROW = re.compile(r"seed \d+  round \d+  mean ")
"""A result on the output of `experiments.compare`."""

_FIVE_LEVELS = (
    "--dataset=synthetic_images",
    "--methods=heterofl:levels",
    "--levels=1,0.5,0.25,0.125,0.0625",
    "--hidden_dim=64",
    "--execution=sliced",
    "--num_rounds=1",
    "--num_seeds=1",
    "--client_optimizer=sgd",
    "--client_lr=0.01",
)

WORKLOADS: dict[str, tuple[str, ...]] = {
    "demo": ("--flagfile=experiments/configs/demo.flags",),
    "sliced": (
        "--policies=uniform,hasa,inverse_hasa",
        "--execution=sliced",
        "--num_rounds=5",
        "--num_seeds=1",
    ),
    "cnn": (*_FIVE_LEVELS, "--model=cnn"),
    "resnet18": (*_FIVE_LEVELS, "--model=resnet18"),
}
"""Arguments of `experiments.compare`, by name."""

CACHES = ("cold", "warm")
"""Without kept programs, or with those of an earlier run of the same command."""


class Waited(NamedTuple):
    """Seconds since a process was started.

    Attributes:
      first_row: until it printed its first result.
      end: until it was over.
    """

    first_row: float
    end: float


def command_of(workload: str, folder: pathlib.Path, cache: str) -> list[str]:
    """Returns the command of a workload.

    Args:
      workload: a name in `WORKLOADS`.
      folder: an empty folder for its results and its kept programs.
      cache: one of `CACHES`.

    Returns:
      The command; it must run in the root of a checkout.
    """
    programs = folder / "programs" if cache == "warm" else ""
    return [
        sys.executable,
        "-m",
        "experiments.compare",
        *WORKLOADS[workload],
        f"--compilation_cache={programs}",
        f"--workdir={tempfile.mkdtemp(dir=folder)}",
    ]


def wait_for(command: Sequence[str], root: pathlib.Path, env: Mapping[str, str]) -> Waited:
    """Runs a command to its end.

    Args:
      command: what to run.
      root: where.
      env: its environment.

    Returns:
      When its first result came, and when it ended.

    Raises:
      ProcessError: if it fails, or ends without a result.
    """
    first_row = None
    began = time.perf_counter()
    with subprocess.Popen(command, cwd=root, env=env, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if first_row is None and _ROW.search(line):
                first_row = time.perf_counter() - began
    end = time.perf_counter() - began
    if process.returncode or first_row is None:
        raise ProcessError(command, process.returncode or 1)
    return Waited(first_row, end)


def measure(workload: str, cache: str, root: pathlib.Path, repeats: int) -> dict[str, Any]:
    """Runs a workload several times, each in a process of its own.

    Args:
      workload: a name in `WORKLOADS`.
      cache: one of `CACHES`; for `warm`, one run that is not counted fills an empty cache.
      root: root of the checkout that runs.
      repeats: runs that are counted.

    Returns:
      `{workload, cache, first_row, end}`, the last two with the seconds of every run.

    Raises:
      ProcessError: if a run fails.
    """
    env = {**os.environ, "PYTHONPATH": str(root)}
    waited = list(_runs(workload, cache, root, env, repeats))
    return {
        "workload": workload,
        "cache": cache,
        "first_row": [each.first_row for each in waited],
        "end": [each.end for each in waited],
    }


def _runs(
    workload: str, cache: str, root: pathlib.Path, env: Mapping[str, str], repeats: int
) -> Iterator[Waited]:
    """Yields what each counted run of a workload waited."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        if cache == "warm":
            wait_for(command_of(workload, folder, cache), root, env)
        for _ in range(repeats):
            yield wait_for(command_of(workload, folder, cache), root, env)


def line(record: Mapping[str, Any]) -> str:
    """Returns a record of `measure` in one line: medians, and the least where there are several."""
    parts = [f"{record['workload']}, {record['cache']}:"]
    for name, text in (("first_row", "to the first row"), ("end", "to the end")):
        seconds = record[name]
        least = f" (least {min(seconds):.2f})" if len(seconds) > 1 else ""
        parts.append(f"{statistics.median(seconds):.2f} s{least} {text}")
    return " ".join([parts[0], ", ".join(parts[1:])])


def arguments(given: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line.

    Args:
      given: the arguments; None for those of this process.

    Returns:
      The flags; `workload` and `caches` are lists of names.
    """
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--workload", default=",".join(WORKLOADS), help=f"of {', '.join(WORKLOADS)}"
    )
    parser.add_argument("--repeats", type=int, default=1, help="runs that are counted")
    parser.add_argument("--cold", action="store_true", help="without kept programs only")
    parser.add_argument("--warm", action="store_true", help="with kept programs only")
    here = pathlib.Path(__file__).resolve().parents[1]
    parser.add_argument("--root", type=pathlib.Path, default=here, help="checkout that runs")
    parser.add_argument("--out", type=pathlib.Path, help="a JSON file for all records")
    flags = parser.parse_args(given)
    flags.workload = [name for name in flags.workload.split(",") if name]
    for name in flags.workload:
        if name not in WORKLOADS:
            parser.error(f"unknown workload {name!r}: use one of {', '.join(WORKLOADS)}")
    if flags.repeats < 1:
        parser.error("--repeats must be at least 1")
    flags.root = flags.root.resolve()
    flags.caches = [name for name in CACHES if getattr(flags, name)] or list(CACHES)
    return flags


def main() -> None:
    """Measures every workload, and writes what is found after each."""
    flags = arguments()
    records = []
    for workload in flags.workload:
        for cache in flags.caches:
            try:
                records.append(measure(workload, cache, flags.root, flags.repeats))
            except ProcessError as error:
                print(f"error: {error}", file=sys.stderr)
                sys.exit(error.status)
            print(line(records[-1]), flush=True)
            if flags.out:
                flags.out.parent.mkdir(parents=True, exist_ok=True)
                flags.out.write_text(json.dumps(records, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
