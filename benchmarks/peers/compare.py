"""This library and other frameworks in turns, on the same batches.

`python -m benchmarks.peers.compare --peer=torch,flower --workload=cnn`
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from typing import Any

from benchmarks import processes
from benchmarks.peers import memory
from benchmarks.peers.batches import load
from benchmarks.peers.known import PEERS, WORKLOADS
from benchmarks.peers.table import markdown
from benchmarks.rounds import add_engine_flags

_ROOT = pathlib.Path(__file__).resolve().parents[2]
_TURN_SECONDS = 1.0
"""A turn repeats rounds for about as long, so that caches are warm in most of it."""


def arguments(words: Sequence[str] | None = None) -> argparse.Namespace:
    """Parses the command line.

    Args:
      words: its words; None for those of this process.

    Returns:
      The flags; `pairs` lists peers and workloads.
    """
    parser = argparse.ArgumentParser(description="Compares this library with others, in turns.")
    listed = "repeat it or separate by commas; by default all"
    parser.add_argument("--peer", action="append", help=f"of {', '.join(PEERS)}; {listed}")
    parser.add_argument("--workload", action="append", help=f"of {', '.join(WORKLOADS)}; {listed}")
    parser.add_argument("--setting", help="of the peer; by default the fastest that it has")
    parser.add_argument(
        "--environments",
        type=pathlib.Path,
        default=pathlib.Path(".venv-peers"),
        help="folder with the virtual environment of each peer",
    )
    parser.add_argument("--repeats", type=int, default=5, help="turns of each")
    add_engine_flags(parser)
    parser.add_argument(
        "--out",
        type=pathlib.Path,
        default=_ROOT / "benchmarks" / "results" / "peers.json",
        help="a JSON file; what it has of other peers and workloads stays",
    )
    given = parser.parse_args(words)
    peers = _names(parser, "peer", given.peer, tuple(PEERS))
    workloads = _names(parser, "workload", given.workload, WORKLOADS)
    given.pairs = [(p, w) for p in peers for w in workloads if w in PEERS[p].workloads]
    if not given.pairs:
        parser.error(f"{', '.join(peers)} does not run {', '.join(workloads)}")
    for peer in {peer for peer, _ in given.pairs} if given.setting else ():
        known = PEERS[peer].settings
        if given.setting not in known:
            parser.error(f"{peer} has no setting {given.setting!r}: use one of {', '.join(known)}")
    if given.repeats < 1:
        parser.error("--repeats must be at least 1")
    return given


def measure(given: argparse.Namespace, peer: str, workload: str, batches: str) -> dict[str, Any]:
    """Runs both, each in processes of its own that wait while another one runs.

    Args:
      given: the flags.
      peer: its name.
      workload: its name.
      batches: the file that the peer reads.

    Returns:
      Of both `{seconds, all_seconds, repeats_in_a_turn, peak_bytes, start_seconds}`: the median of
      the turns, each of them, repeats in each, and seconds from the start of the process to the
      end of its first round.

    Raises:
      ProcessError: if one fails.
    """
    settings = (given.setting,) if given.setting else PEERS[peer].settings
    env = {**os.environ, "PYTHONPATH": str(_ROOT)}
    commands = {each: _command(given, peer, workload, batches, each) for each in settings}
    fastest, trials = _fastest(commands, env)
    # Rounds in one scan as the workload says, for that is how a run has them.
    spec = {"workload": workload, "client_block": given.client_block, "on_request": True}
    own_env = processes.environment(given.host_devices)
    with contextlib.ExitStack() as stack:
        both = [
            stack.enter_context(processes.taking_turns(*process))
            for process in (
                (processes.measure_command(spec), own_env),
                (commands[fastest], env),
            )
        ]
        first, repeats = zip(*map(_first_turn, both), strict=True)
        seconds = [first] if max(repeats) == 1 else []
        while len(seconds) < given.repeats:
            seconds.append(tuple(p.ask(number) for p, number in zip(both, repeats, strict=True)))
        ours, theirs = (
            {
                "seconds": statistics.median(turns),
                "all_seconds": turns,
                "repeats_in_a_turn": number,
                "peak_bytes": memory.peak_bytes(process.pid),
                "start_seconds": process.start_seconds,
            }
            for turns, number, process in zip(
                zip(*seconds, strict=True), repeats, both, strict=True
            )
        )
    return {
        "peer": peer,
        "version": version(_python(given, peer), PEERS[peer].packages),
        "workload": workload,
        "num_classes": load(batches).num_classes,  # Real titles have more words than synthetic.
        "setting_name": PEERS[peer].setting,
        "setting": fastest,
        "seconds_by_setting": trials,
        "cores": processes.cores(),
        "host_devices": given.host_devices,
        "ours": ours,
        "theirs": theirs,
    }


def version(python: str, packages: Sequence[str]) -> str | None:
    """Returns the version of the first of some packages, once all of them are imported.

    So their files are read before a start is timed.

    Args:
      python: an interpreter.
      packages: names that can be imported.

    Returns:
      The version; None if a package, or the interpreter, is not there.
    """
    text = (
        f"import importlib.metadata as m, {', '.join(packages)}; print(m.version('{packages[0]}'))"
    )
    try:
        done = subprocess.run([python, "-c", text], capture_output=True, text=True, check=False)
    except OSError:
        return None
    return None if done.returncode else done.stdout.splitlines()[-1]


def missing(given: argparse.Namespace) -> list[str]:
    """Says of every environment that is not there how to make it.

    Args:
      given: the flags.

    Returns:
      A line for each.
    """
    lines = []
    for peer in dict.fromkeys(peer for peer, _ in given.pairs):
        name, packages = PEERS[peer].environment, PEERS[peer].packages
        if version(_python(given, peer), packages) is None:
            folder = given.environments / name
            lines.append(
                f"error: no {packages[0]} in {folder}: make it with `python3 -m venv {folder} && "
                f"{folder}/bin/pip install -r benchmarks/peers/requirements-{name}.txt`, or name "
                "the folder above it in --environments"
            )
    return list(dict.fromkeys(lines))


def kept(path: pathlib.Path) -> dict[tuple[str, str], dict[str, Any]]:
    """Reads the records of a file.

    Args:
      path: the file; it need not exist.

    Returns:
      The records, by peer and workload.

    Raises:
      ValueError: if other things are in it.
    """
    text = path.read_text(encoding="utf-8") if path.is_file() else "[]"
    try:
        return {(each["peer"], each["workload"]): each for each in json.loads(text)}
    except (KeyError, TypeError, json.JSONDecodeError):
        raise ValueError(f"{path} holds no comparisons: name another file in --out") from None


def keep(path: pathlib.Path, record: dict[str, Any]) -> None:
    """Writes a record to a file, in the place of that of the same peer and workload.

    A figure stays where a later run has none.

    Args:
      path: the file.
      record: the record.
    """
    merged = kept(path)
    pair = record["peer"], record["workload"]
    if "not_measured" not in record or "ours" not in merged.get(pair, {}):
        merged[pair] = record
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps([*merged.values()], indent=1) + "\n", encoding="utf-8")


def _fastest(
    commands: Mapping[str, Sequence[str]], env: Mapping[str, str]
) -> tuple[str, dict[str, float]]:
    """Runs a turn of each command.

    Args:
      commands: by setting.
      env: their environment.

    Returns:
      The setting of the fastest, and seconds of a round by setting; none if there is one command.
    """
    trials = {}
    if len(commands) > 1:
        for setting, command in commands.items():
            with processes.taking_turns(command, env) as process:
                _, repeats = _first_turn(process)
                trials[setting] = process.ask(repeats)
    return min(commands, key=lambda setting: trials.get(setting, 0.0)), trials


def _first_turn(process: processes.Turns) -> tuple[float, int]:
    """Runs a round; returns its seconds, and how often to repeat it in a turn."""
    began = time.perf_counter()
    seconds = process.ask(1)
    return seconds, max(1, round(_TURN_SECONDS / (time.perf_counter() - began)))


def _names(
    parser: argparse.ArgumentParser, flag: str, given: list[str] | None, known: tuple[str, ...]
) -> list[str]:
    """Splits the values of a flag at commas; each has to be known."""
    names = [name for part in given or known for name in part.split(",") if name]
    for name in names:
        if name not in known:
            parser.error(f"unknown {flag} {name!r}: use one of {', '.join(known)}")
    return list(dict.fromkeys(names))


def _python(given: argparse.Namespace, peer: str) -> str:
    """Returns the interpreter of a peer's environment."""
    return str(given.environments / PEERS[peer].environment / "bin" / "python")


def _command(
    given: argparse.Namespace, peer: str, workload: str, batches: str, setting: str
) -> list[str]:
    """Returns the command that serves rounds of a peer."""
    flags = {"peer": peer, "workload": workload, "batches": batches, "setting": setting}
    words = [f"--{name}={value}" for name, value in flags.items()]
    return [_python(given, peer), "-m", "benchmarks.peers.run", *words, "--on_request"]


def main() -> None:
    """Compares every pair, and prints a table."""
    given = arguments()
    if lines := missing(given):
        print("\n".join(lines), file=sys.stderr)
        sys.exit(2)
    try:
        kept(given.out)
    except ValueError as error:
        sys.exit(f"error: {error}")
    records = []
    with tempfile.TemporaryDirectory() as folder:
        for peer, workload in given.pairs:
            print(f"{peer}, {workload}", file=sys.stderr, flush=True)
            batches = str(pathlib.Path(folder) / f"{workload}.npz")
            try:
                if not pathlib.Path(batches).exists():
                    words = [f"--workload={workload}", f"--out={batches}"]
                    command = [sys.executable, "-m", "benchmarks.peers.export", *words]
                    processes.run(command, os.environ)
                record = measure(given, peer, workload, batches)
            except processes.ProcessError as error:
                record = {"peer": peer, "workload": workload, "not_measured": str(error)}
            records.append(record)
            # Written after each, so that an interruption loses one at most.
            keep(given.out, record)
    print(markdown(records))
    sys.exit(any("not_measured" in record for record in records))


if __name__ == "__main__":
    main()
