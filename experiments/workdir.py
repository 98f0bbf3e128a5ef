"""The folder of a run: refused if it holds another run, described by run.json."""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import tempfile
from collections.abc import Mapping
from typing import Any

import jax

from hasa_jax.base import UserError

_PACKAGES = ("hasa_jax", "jax", "jaxlib", "flax", "optax", "numpy", "scipy")


def open_workdir(
    path: str, script: str, run_flags: Mapping[str, Any], data_hashes: Mapping[int, str]
) -> pathlib.Path:
    """Makes the folder, or accepts one that holds nothing or the same run.

    Args:
      path: the folder; if empty, `runs/<script>-<hash of the flags>`.
      script: name of the script.
      run_flags: the flags that decide the results.
      data_hashes: hashes of the data of seeds known so far.

    Returns:
      The folder, writable.

    Raises:
      UserError: if it is a file, cannot be written, or holds results of other flags or data.
    """
    digest = hashlib.sha256(json.dumps(run_flags, sort_keys=True).encode()).hexdigest()
    folder = pathlib.Path(path or f"runs/{script}-{digest[:8]}")
    if folder.exists() and not folder.is_dir():
        raise UserError(f"workdir {folder} is a file: name a folder with --workdir")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"workdir {folder} cannot be written ({error.strerror}): name another with --workdir"
        ) from None
    _refuse_other_run(folder, script, run_flags, data_hashes)
    return folder


def _refuse_other_run(
    folder: pathlib.Path,
    script: str,
    run_flags: Mapping[str, Any],
    data_hashes: Mapping[int, str],
) -> None:
    """Raises unless the folder holds no results, or results of the same flags and data."""
    manifest = folder / "run.json"
    if not manifest.exists():
        if any((folder / f"{name}.csv").exists() for name in ("metrics", "summary")):
            raise UserError(
                f"workdir {folder} holds results without a run.json, so nobody knows of which "
                "run: name another with --workdir"
            )
        return
    names = (f"{name}.csv{end}" for name in ("metrics", "summary") for end in ("", ".partial"))
    if not any((folder / name).exists() for name in names):
        return  # A run that was refused before its first row.
    found = read_manifest(folder)
    old = {"script": found["script"], **found["flags"]}
    new = {"script": script, **json.loads(json.dumps(run_flags))}
    changed = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    if changed:
        shown = ", ".join(f"{n}={old.get(n)} there, {new.get(n)} here" for n in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            f"workdir {folder} holds metrics of other flags ({shown}{more}): "
            "name another with --workdir"
        )
    for seed, digest in data_hashes.items():
        if found["data_sha256"].get(str(seed), digest) != digest:
            raise UserError(
                f"workdir {folder} holds metrics of other data (seed {seed}, by its hash in "
                "run.json): name another with --workdir"
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
    """Writes run.json: flags, what they make of methods and machine, versions, device, data."""
    manifest = {
        "script": script,
        "flags": run_flags,
        "methods": methods,
        "execution": execution,
        "versions": {
            "python": platform.python_version(),
            **{name: _version(name) for name in _PACKAGES},
        },
        "device": [f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        "cpu_count": os.cpu_count(),
        "git_commit": _git_commit(),
        "data_sha256": {str(seed): digest for seed, digest in data_hashes.items()},
    }
    text = json.dumps(manifest, indent=2) + "\n"
    temporary = folder / "run.json.new"
    temporary.write_text(text, encoding="utf-8")
    temporary.replace(folder / "run.json")


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
