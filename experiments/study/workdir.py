"""The folder of a run: refused if it holds another run, and kept for one process."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator
from typing import Any

from experiments.config import RunConfig
from experiments.study import manifest
from experiments.study.manifest import Manifest
from hasa_jax.base import UserError
from hasa_jax.simulation.writers import TABLES, say

CHECKPOINTS = "checkpoints"
"""Folder of checkpoints in a workdir."""


def open_workdir(path: str, run: Manifest) -> tuple[pathlib.Path, Manifest]:
    """Makes the folder of a run, or accepts one that holds nothing or the same run.

    Args:
      path: the folder; if empty, `runs/<script>-<hash of the configuration>`.
      run: what describes the run; it knows the data of some seeds.

    Returns:
      The folder, writable; and the description, with the other code that the run began with.

    Raises:
      UserError: if the folder is a file, cannot be written, or holds a run of another
        configuration or other data, or one that began on other devices and cannot go on here.
    """
    digest = hashlib.sha256(json.dumps(run.config, sort_keys=True).encode()).hexdigest()
    folder = pathlib.Path(path or f"runs/{run.script}-{digest[:8]}")
    make_folder(folder)
    _refuse_other_run(folder, run)
    return folder, _with_earlier_code(folder, run)


def make_folder(folder: pathlib.Path) -> None:
    """Makes a folder for results, or accepts one.

    Args:
      folder: the folder.

    Raises:
      UserError: if it is a file, or cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"workdir {folder} is a file: name a folder with `workdir`")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder).close()
    except OSError as error:
        raise UserError(
            f"workdir {folder} cannot be written ({error.strerror}): name another with `workdir`"
        ) from None


def goes_further(old: RunConfig, new: RunConfig) -> bool:
    """Returns whether a run with more rounds begins with the very rounds of another.

    Args:
      old: configuration of a run.
      new: a configuration that differs from it in nothing but `num_rounds`.

    Returns:
      True if there are more rounds, evaluated at the same ones, and nothing in a run depends on
      their number: widths of a dynamic policy do, and so does distillation, which begins after a
      quarter of them.
    """
    rounds = old.training.num_rounds
    depends = new.allocation.dynamic or new.method.distillation
    return (
        rounds < new.training.num_rounds and rounds % new.reporting.eval_every == 0 and not depends
    )


@contextlib.contextmanager
def reserved(folder: pathlib.Path) -> Iterator[None]:
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
                "`workdir`"
            ) from None
        yield
    finally:
        os.close(handle)


def _refuse_other_run(folder: pathlib.Path, run: Manifest) -> None:
    """Raises unless the folder holds no results, or results of the same run."""
    if not (folder / manifest.NAME).exists():
        if any((folder / f"{name}.csv").exists() for name in TABLES):
            raise UserError(
                f"workdir {folder} holds results without a {manifest.NAME}, so their "
                "configuration is unknown: name another with `workdir`"
            )
        return
    begun = (folder / CHECKPOINTS).exists()
    names = (f"{name}.csv{end}" for name in TABLES for end in ("", ".partial"))
    if not (begun or any((folder / name).exists() for name in names)):
        return  # A run that was refused before its first record.
    found = manifest.read_manifest(folder)
    _refuse_other_config(folder, found, run)
    if begun and found.execution and found.execution != run.execution:
        block = str(found.execution.get("client_block")).replace("all", "0")
        raise UserError(
            f"workdir {folder} holds a run that began on {found.execution.get('backend')} with "
            f"`host_devices={found.execution.get('devices')}` `client_block={block}`, where sums "
            "are in another order than here: give these, or another `workdir`"
        )
    for seed, digest in run.data_sha256.items():
        if found.data_sha256.get(seed, digest) != digest:
            raise UserError(
                f"workdir {folder} holds metrics of other data (seed {seed}, by its hash in "
                f"{manifest.NAME}): name another with `workdir`"
            )


def _refuse_other_config(folder: pathlib.Path, found: Manifest, run: Manifest) -> None:
    """Raises if a folder holds a run of another configuration."""
    old, new = _flat(found), _flat(run)
    changed = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    if changed == ["num_rounds"] and goes_further(found.run, run.run):
        _refuse_other_mode(folder, found, run)
        return
    if changed:
        shown = ", ".join(f"{n}={old.get(n)} there, {new.get(n)} here" for n in changed[:3])
        more = f" and {len(changed) - 3} more" if len(changed) > 3 else ""
        raise UserError(
            f"workdir {folder} holds metrics of another configuration ({shown}{more}): "
            "name another with `workdir`"
        )


def _refuse_other_mode(folder: pathlib.Path, found: Manifest, run: Manifest) -> None:
    """Raises if more rounds make `auto` choose another mode, in which results differ a little."""
    modes, before = run.execution.get("modes", {}), found.execution.get("modes", {})
    for arm in modes:
        if before.get(arm, modes[arm]) != modes[arm]:
            raise UserError(
                f"workdir {folder} holds a {before[arm]} run of {arm}, but for "
                f"{run.run.training.num_rounds} rounds `execution` auto chooses {modes[arm]}: "
                "name another with `workdir`"
            )


def _flat(run: Manifest) -> dict[str, Any]:
    """Returns the script and all deciding fields by their names, as JSON reads them."""
    full = manifest.recorded(run.run)
    return {"script": run.script} | {
        n: value for room in full.values() for n, value in room.items()
    }


def _with_earlier_code(folder: pathlib.Path, run: Manifest) -> Manifest:
    """Adds the other code that a run which goes on began with, and says so in a line."""
    if not (folder / CHECKPOINTS).exists() or not (folder / manifest.NAME).exists():
        return run
    found = manifest.read_manifest(folder)
    if found.code == run.code:
        return dataclasses.replace(run, began_with=found.began_with)
    say("this run began with other code or versions (see run.json): its bytes may differ")
    return dataclasses.replace(run, began_with=(*found.began_with, found.code))
