"""The folder of a run: refused if it holds another run, described by run.json."""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

import jax

from hasa_jax.base import UserError
from hasa_jax.simulation.writers import TABLES, say

CHECKPOINTS = "checkpoints"
"""Folder of checkpoints in a workdir."""

_PACKAGES = ("hasa_jax", "jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


def open_workdir(
    path: str,
    script: str,
    run_flags: Mapping[str, Any],
    data_hashes: Mapping[int, str],
    execution: Mapping[str, Any],
) -> pathlib.Path:
    """Makes the folder, or accepts one that holds nothing or the same run.

    Args:
      path: the folder; if empty, `runs/<script>-<hash of the flags>`.
      script: name of the script.
      run_flags: the flags that decide the results.
      data_hashes: hashes of the data of seeds known so far.
      execution: what the flags of execution come to on this machine.

    Returns:
      The folder, writable.

    Raises:
      UserError: if it is a file, cannot be written, or holds a run of other flags or data, or
        one that began on other devices and cannot go on here.
    """
    digest = hashlib.sha256(json.dumps(run_flags, sort_keys=True).encode()).hexdigest()
    folder = pathlib.Path(path or f"runs/{script}-{digest[:8]}")
    make_folder(folder)
    _refuse_other_run(folder, script, run_flags, data_hashes, execution)
    return folder


def make_folder(folder: pathlib.Path) -> None:
    """Makes a folder for results, or accepts one.

    Args:
      folder: the folder.

    Raises:
      UserError: if it is a file, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"workdir {folder} is a file: name a folder with --workdir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"workdir {folder} cannot be written ({error.strerror}): name another with --workdir"
        ) from None


def _refuse_other_run(
    folder: pathlib.Path,
    script: str,
    run_flags: Mapping[str, Any],
    data_hashes: Mapping[int, str],
    execution: Mapping[str, Any],
) -> None:
    """Raises unless the folder holds no results, or results of the same flags and data."""
    manifest = folder / "run.json"
    if not manifest.exists():
        if any((folder / f"{name}.csv").exists() for name in TABLES):
            raise UserError(
                f"workdir {folder} holds results without a run.json, so nobody knows of which "
                "run: name another with --workdir"
            )
        return
    begun = (folder / CHECKPOINTS).exists()
    names = (f"{name}.csv{end}" for name in TABLES for end in ("", ".partial"))
    if not (begun or any((folder / name).exists() for name in names)):
        return  # A run that was refused before its first row.
    found = read_manifest(folder)
    old = {"script": found["script"], **found["flags"]}
    new = {"script": script, **json.loads(json.dumps(run_flags))}
    changed = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    if changed == ["num_rounds"] and goes_further(old, new):
        changed = []
    if changed:
        shown = ", ".join(f"{n}={old.get(n)} there, {new.get(n)} here" for n in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            f"workdir {folder} holds metrics of other flags ({shown}{more}): "
            "name another with --workdir"
        )
    was = found.get("execution", {})
    if begun and was and was != execution:
        block = str(was.get("client_block")).replace("all", "0")
        raise UserError(
            f"workdir {folder} holds a run that began on {was.get('backend')} with "
            f"--host_devices={was.get('devices')} --client_block={block}, where sums are in "
            "another order than here: give these, or another --workdir"
        )
    for seed, digest in data_hashes.items():
        if found["data_sha256"].get(str(seed), digest) != digest:
            raise UserError(
                f"workdir {folder} holds metrics of other data (seed {seed}, by its hash in "
                "run.json): name another with --workdir"
            )


def goes_further(old: Mapping[str, Any], new: Mapping[str, Any]) -> bool:
    """Tells whether a run with more rounds begins with the very rounds of another.

    Args:
      old: flags of a run.
      new: flags that differ from them in `num_rounds` alone.

    Returns:
      True if there are more rounds, evaluated at the same ones, and nothing in a run depends on
      how many there are: redrawn sizes, and distillation from a quarter of them on, do.
    """
    depends = new["dynamic"] or new["distillation"]
    return (
        old["num_rounds"] < new["num_rounds"]
        and old["num_rounds"] % new["eval_every"] == 0
        and not depends
    )


def read_manifest(folder: pathlib.Path) -> dict[str, Any]:
    """Reads run.json.

    Args:
      folder: the workdir.

    Returns:
      Its content, with at least `script`, `flags` and `data_sha256`.

    Raises:
      UserError: if it is missing or damaged.
    """
    manifest = folder / "run.json"
    try:
        found = json.loads(manifest.read_text(encoding="utf-8"))
        if not isinstance(found["script"], str):
            raise TypeError
        if not all(isinstance(found[name], dict) for name in ("flags", "data_sha256")):
            raise TypeError
        if not isinstance(found.get("execution", {}), dict):
            raise TypeError
    except FileNotFoundError:
        raise UserError(f"{manifest} does not exist: name a workdir of train or compare") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(
            f"{manifest} is damaged: move it away or name another folder with --workdir"
        ) from None
    return found


def write_manifest(
    folder: pathlib.Path,
    script: str,
    run_flags: Mapping[str, Any],
    data_hashes: Mapping[int, str],
    methods: Mapping[str, Any],
    execution: Mapping[str, Any],
) -> None:
    """Writes run.json: flags, what they make of methods and machine, versions, device, data.

    A run that goes on with other code than it began with says so, there and in a line.
    """
    code = {
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "git_commit": _git_commit(),
    }
    manifest = {
        "script": script,
        "flags": run_flags,
        "methods": methods,
        "execution": execution,
        **code,
        "began_with": _earlier_code(folder, code),
        "device": [f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        "cpu_count": os.cpu_count(),
        "data_sha256": {str(seed): digest for seed, digest in data_hashes.items()},
    }
    text = json.dumps(manifest, indent=2) + "\n"
    temporary = folder / "run.json.new"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / "run.json")


def _earlier_code(folder: pathlib.Path, code: Mapping[str, Any]) -> list[Any]:
    """Lists the other code that a run which goes on has run with, oldest first."""
    if not (folder / CHECKPOINTS).exists() or not (folder / "run.json").exists():
        return []
    found = read_manifest(folder)
    last = {name: found.get(name) for name in code}
    if last == code:
        return found.get("began_with", [])
    say("this run began with other code or versions (see run.json): its bytes may differ")
    return [*found.get("began_with", []), last]


@contextlib.contextmanager
def alone_in(folder: pathlib.Path) -> Iterator[None]:
    """Keeps a folder for this process.

    Args:
      folder: the workdir.

    Yields:
      Nothing, while no other process can have it.

    Raises:
      UserError: if another process has it.
    """
    try:
        import fcntl
    except ImportError:  # Only Unix has it.
        yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError(
                f"another process runs in workdir {folder}: wait for it, or name another with "
                "--workdir"
            ) from None
        yield
    finally:
        os.close(handle)


def _version(package: str) -> str:
    """Returns a package's installed version."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _git_commit() -> str:
    """Returns the commit of the code that runs, marked if files differ from it."""
    here = pathlib.Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changed else "")
