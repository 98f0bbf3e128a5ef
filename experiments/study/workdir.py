"""The folder of a run: refused if it holds another run, grown by arms, kept for one run.

Of several processes that share a run, the first one reads and writes it; the others do as it does.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.analysis import results
from experiments.config import RunConfig, from_json, to_json, with_fields
from experiments.study import manifest
from experiments.study.arm import Arm, arms_of_compare
from experiments.study.kept import digests_of
from experiments.study.manifest import Manifest
from experiments.study.own_methods import own_methods, refuse_other_source
from experiments.study.stopping import finished
from hasa_jax.base import UserError
from hasa_jax.execution import processes
from hasa_jax.simulation.entries import check_entries
from hasa_jax.simulation.writers import TABLES, say

CHECKPOINTS = "checkpoints"
"""Folder of checkpoints in a workdir."""

_OF_ARMS = frozenset({"method", "methods", "num_seeds", "own_method", "policies"})
"""Fields that name the arms and seeds of compare: a workdir may get more of them."""

_BY_BLOCK = ("data_sha256", "data_notes", "baseline")
"""What run.json has of every block. One that goes on keeps it, of blocks that come later too."""

_BY_ROUNDS = ("modes", "bucket_shares", "quick")
"""What is chosen by the number of rounds; a run that goes on has what it began with."""


def grown(config: RunConfig, arms: Sequence[Arm]) -> tuple[RunConfig, list[Arm]]:
    """Adds the arms and seeds that a workdir of compare has to those of a command.

    Args:
      config: the configuration; it names the workdir.
      arms: what the command compares.

    Returns:
      The configuration of all arms and seeds, and the arms: first those that are there, in their
      order. All of them have run, or run now.

    Raises:
      UserError: if one arm would be there twice, if run.json cannot be read, or if a method of a
        user's own that the workdir has cannot be loaded.
    """
    found = _config_there(config.reporting.workdir)
    if found is None:
        return config, list(arms)
    for place in found.method.own_method:
        if place not in config.method.own_method:
            _check_loads(place, config.reporting.workdir)
    there, usual = arms_of_compare(found, frozenset()), RunConfig()
    both = list(dict.fromkeys([*there, *arms]))
    named = found.comparison.methods or config.comparison.methods
    if named or len({arm.method for arm in both}) > 1:
        compared = {
            "methods": tuple(map(":".join, both)),
            "policies": usual.comparison.policies,
            "method": usual.method.method,
        }
    else:
        compared = {"policies": tuple(arm.policy for arm in both)}
    compared["own_method"] = tuple(
        dict.fromkeys((*found.method.own_method, *config.method.own_method))
    )
    seeds = max(found.comparison.num_seeds, config.comparison.num_seeds)
    config = with_fields(config, {**compared, "num_seeds": seeds})
    return config, arms_of_compare(config, frozenset())


def _check_loads(place: str, path: str) -> None:
    """Raises unless a method of a user's own that a folder has, and no command names, loads."""
    try:
        own_methods((place,))
    except UserError as error:
        why = str(error).removeprefix(f"`own_method={place}`: ")
        raise UserError(
            f"workdir {path} holds a method of your own, {place}, which cannot be loaded here "
            f"({why}): add the folder of its module to PYTHONPATH, or name another folder with "
            "`workdir`"
        ) from None


def _config_there(path: str) -> RunConfig | None:
    """Returns the configuration of the run of compare that a folder holds, if there is one."""

    def read() -> dict[str, Any] | None:
        folder = pathlib.Path(path)
        if not path or not _begun(folder):
            return None
        found = manifest.read_manifest(folder)
        return to_json(found.run) if found.script == "compare" else None

    found = processes.from_first(read)
    return None if found is None else from_json(found)


def open_workdir(
    path: str, run: Manifest, *, keeps_checkpoints: bool = True
) -> tuple[pathlib.Path, Manifest]:
    """Makes the folder of a run, or accepts one that holds nothing or the same run.

    Args:
      path: the folder; if empty, `runs/<script>-<hash of the configuration>`.
      run: what describes the run; it knows the data of some seeds.
      keeps_checkpoints: whether the run reads and writes checkpoints.

    Returns:
      The folder, writable; and the description, with the other code that the run began with, and
      with what run.json has of other blocks.

    Raises:
      UserError: if the folder is a file, cannot be written, or holds a run of another
        configuration or other data, or one that began under other switches of JAX and cannot go
        on here, or checkpoints that the run would pass over; or if another process of the run
        does not see the folder.
    """
    digest = hashlib.sha256(json.dumps(run.config, sort_keys=True).encode()).hexdigest()
    folder = pathlib.Path(path or f"runs/{run.script}-{digest[:8]}")
    began: dict[str, Any] = processes.from_first(
        lambda: _accepted(folder, run, keeps_checkpoints=keeps_checkpoints)
    )
    if not folder.is_dir():
        raise UserError(
            f"workdir {folder.absolute()} is not there, though the first process made it: all "
            "processes must see it, so name one on a file system that they share"
        )
    return folder, dataclasses.replace(
        run,
        began_with=tuple(began.get("began_with", ())),
        began_on=tuple(began.get("began_on", ())),
        stopping=began.get("stopping", {}),
        tables=began.get("tables", {}),
        scores=manifest.joined(began.get("scores", {}), run.scores),
        **{
            name: manifest.replaced(began.get(name, {}), getattr(run, name), run.data_sha256)
            for name in _BY_BLOCK
        },
    )


def _accepted(folder: pathlib.Path, run: Manifest, *, keeps_checkpoints: bool) -> dict[str, Any]:
    """Makes or accepts the folder; returns what run.json keeps of the run that it holds."""
    make_folder(folder)
    _refuse_other_run(folder, run)
    if not keeps_checkpoints and (folder / CHECKPOINTS).exists():
        raise UserError(
            f"workdir {folder} holds checkpoints, which a run with `checkpoint_every=0` would "
            "leave stale beside new tables: leave it out, or name another folder with `workdir`"
        )
    return _going_on(folder, run, keeps_checkpoints=keeps_checkpoints)


def finished_by_rule(config: RunConfig, arms: Sequence[Arm]) -> pathlib.Path | None:
    """Finds a finished run that the rule of a command would not go on with.

    Args:
      config: the configuration, with `until_halfwidth`; it names the workdir.
      arms: what is compared, with those of the workdir.

    Returns:
      The folder; None if something is left to run, or nothing is there.
    """

    def find() -> bool:
        folder = pathlib.Path(config.reporting.workdir)
        named = config.reporting.workdir and not config.method.own_method  # Its code may change.
        if not named or not (folder / "summary.csv").exists():
            return False
        found = manifest.read_manifest(folder)
        wanted = shared_fields(Manifest("compare", manifest.recorded(config), {}))
        old = shared_fields(found)
        # The data decide the model where the user does not.
        free = {"model"} if wanted["model"] is None else set()
        same = all(old.get(name) == wanted.get(name) for name in {*old, *wanted} - free)
        there = {*found.execution.get("modes", {})}
        if not same or there != {":".join(arm) for arm in arms}:
            return False
        records = results.read_records(folder / "summary.csv", results.SUMMARY_NUMBERS)
        seeds = {r["seed"] for r in records if int(r["round"]) == config.training.num_rounds}
        return finished(found.rule, config, arms) and len(seeds) == found.stopping["seeds"]

    return pathlib.Path(config.reporting.workdir) if processes.from_first(find) else None


def bucket_shares(path: str) -> dict[str, float]:
    """Returns what a bucket costs in the programs of a run that goes on.

    Args:
      path: the folder, or empty.

    Returns:
      `Program.bucket_share` by arm, `method:policy`; empty if nothing was begun there.
    """

    def read() -> dict[str, float]:
        folder = pathlib.Path(path)
        if not path or not _begun(folder):
            return {}
        return manifest.read_manifest(folder).execution.get("bucket_shares", {})

    return processes.from_first(read)


def shared_fields(run: Manifest) -> dict[str, Any]:
    """Returns what all arms in a workdir agree in.

    Args:
      run: what describes the run.

    Returns:
      The script and the deciding fields by their names, as JSON reads them, without those that
      name arms and seeds. The seed of train, and the first one of compare, is in it: programs are
      built for the data of this seed.
    """
    full = manifest.recorded(run.run)
    left_out = _OF_ARMS if run.script == "compare" else frozenset()
    fields = {n: value for room in full.values() for n, value in room.items() if n not in left_out}
    return {"script": run.script} | fields


def make_folder(folder: pathlib.Path) -> None:
    """Makes a folder for results, or accepts one.

    Args:
      folder: the folder.

    Raises:
      UserError: if it is a file, something in it leads out of it, or it cannot be written.
    """
    if folder.exists() and not folder.is_dir():
        raise UserError(f"workdir {folder} is a file: name a folder with `workdir`")
    check_entries(folder, "workdir")
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
    """Keeps a folder for this run; of several processes, the first one has it.

    Args:
      folder: the workdir.

    Yields:
      Nothing, while no other run can have it.

    Raises:
      UserError: if another run has it.
    """
    with contextlib.ExitStack() as stack:
        processes.from_first(lambda: stack.enter_context(_locked(folder)))
        yield


@contextlib.contextmanager
def _locked(folder: pathlib.Path) -> Iterator[None]:
    """Locks a folder."""
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
    if not _begun(folder):
        return
    found = manifest.read_manifest(folder)
    _refuse_other_config(folder, found, run)
    _refuse_other_switches(folder, found, run)
    manifest.refuse_other_data(folder, found.data_sha256, run.data_sha256)


def _begun(folder: pathlib.Path) -> bool:
    """Returns whether a folder has a run.json and records; without, the run was refused."""
    return holds_results(folder) and (folder / manifest.NAME).exists()


def holds_results(folder: pathlib.Path) -> bool:
    """Returns whether a folder holds records or checkpoints of a run.

    Args:
      folder: any folder, or nothing.
    """
    names = (f"{name}.csv{end}" for name in TABLES for end in ("", ".partial"))
    return any((folder / name).exists() for name in (CHECKPOINTS, *names))


def difference(old: Mapping[str, Any], new: Mapping[str, Any], names: Sequence[str]) -> str:
    """Says in which fields two configurations differ.

    Args:
      old: the one that is there, by field.
      new: that of the command.
      names: of the fields that differ.

    Returns:
      The first three of them with both values, and how many more there are.
    """
    shown = ", ".join(f"{n}={old.get(n)} there, {new.get(n)} here" for n in names[:3])
    return shown + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _refuse_other_config(folder: pathlib.Path, found: Manifest, run: Manifest) -> None:
    """Raises if a folder holds a run of another configuration."""
    old, new = shared_fields(found), shared_fields(run)
    changed = [name for name in sorted(old | new) if old.get(name) != new.get(name)]
    if "script" in changed:
        changed = ["script"]
    if changed == ["num_rounds"] and goes_further(found.run, run.run):
        changed = []
    if changed:
        raise UserError(
            f"workdir {folder} holds metrics of another configuration "
            f"({difference(old, new, changed)}): name another with `workdir`"
        )
    refuse_other_source(folder, found.methods, run.methods)
    _refuse_other_mode(folder, found, run)
    _refuse_shared_programs(folder, found, run)


def _refuse_other_switches(folder: pathlib.Path, found: Manifest, run: Manifest) -> None:
    """Raises if a folder holds a run under other switches of JAX, so with other numbers."""
    old, new = found.switches, run.switches
    changed = [name for name in sorted({*old, *new}) if old.get(name) != new.get(name)]
    if changed:
        shown = ", ".join(
            f"{n} is {old.get(n, 'unset')} there, {new.get(n, 'unset')} here" for n in changed
        )
        raise UserError(
            f"workdir {folder} holds a run under other switches of JAX ({shown}): set them as "
            "there, or name another folder with `workdir`"
        )


def _refuse_other_mode(folder: pathlib.Path, found: Manifest, run: Manifest) -> None:
    """Raises if `auto` chooses another mode now, in which results differ a little."""
    modes, before = run.execution.get("modes", {}), found.execution.get("modes", {})
    for arm in modes:
        if before.get(arm, modes[arm]) != modes[arm]:
            raise UserError(
                f"workdir {folder} holds a {before[arm]} run of {arm}, but for "
                f"{run.run.training.num_rounds} rounds `execution` auto chooses {modes[arm]}: "
                "name another with `workdir`"
            )


def _refuse_shared_programs(folder: pathlib.Path, found: Manifest, run: Manifest) -> None:
    """Raises if new arms would change the program that seeds of earlier arms share.

    Sliced arms of one method then run the sizes of all of them, in another order of sums.
    """
    if run.run.execution.seeds_per_program == 1:
        return
    modes, before = run.execution.get("modes", {}), found.execution.get("modes", {})
    for arm in modes.keys() - before.keys():
        method = arm.partition(":")[0]
        others = [name for name in before if name.partition(":")[0] == method]
        if "sliced" in (modes[arm], *(before[name] for name in others)) and others:
            raise UserError(
                f"workdir {folder} holds {others[0]} with seeds that share a program, whose sums "
                f"{arm} would change: run it in another `workdir`, which a table can merge"
            )


def _going_on(folder: pathlib.Path, run: Manifest, *, keeps_checkpoints: bool) -> dict[str, Any]:
    """Returns what run.json keeps of a run that goes on, by field; says what is new.

    That is the other code and devices which it began with, what it has of every block and of
    finished tables, and the rule that stopped it, if no arm, seed or round is new. Of a run that
    starts over, it is nothing.
    """
    known = _begun(folder)
    found = manifest.read_manifest(folder) if known else run
    tables = dict(found.tables) if known and keeps_checkpoints else {}
    if tables != digests_of(folder):  # The run that wrote them did not end, or they were changed.
        tables = {}
    if not (folder / CHECKPOINTS).exists():
        if tables:
            say(
                f"workdir {folder} has no checkpoints: runs that are complete in its finished "
                "tables are kept, and others start over"
            )
        elif known:
            say(f"workdir {folder} has results and no checkpoints: all of its runs start over")
        if not tables:
            return {}
    arms, seeds = found.execution.get("modes", {}), found.run.comparison.num_seeds
    new = [arm for arm in run.execution.get("modes", {}) if arm not in arms]
    new += [f"{run.run.comparison.num_seeds} seeds"] * (run.run.comparison.num_seeds > seeds)
    if new:
        say(f"workdir {folder} has {', '.join(arms)} of {seeds} seeds; new: {', '.join(new)}")
    code, execution = list(found.began_with), list(found.began_on)
    if found.code != run.code:
        say("this run began with other code or versions (see run.json): its bytes may differ")
        code.append(dict(found.code))
    there, here = (
        {name: value for name, value in each.items() if name not in _BY_ROUNDS}
        for each in (found.execution, run.execution)
    )
    if there and there != here:
        say(
            f"this run began on other devices ({_differing(there, here)}; here "
            f"{_differing(here, there)}), where sums are in another order: results agree to "
            "rounding, not to the bit"
        )
        execution.append(there)
    rounds = {own.run.training.num_rounds for own in (found, run)}
    return {
        "began_with": code,
        "began_on": execution,
        "stopping": {} if new or len(rounds) > 1 else found.stopping,
        "tables": tables,
        "scores": found.scores,
        **{name: getattr(found, name) for name in _BY_BLOCK},
    }


def _differing(execution: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """Writes on what a run is executed, where that is not so in another one."""
    own = [n for n in execution if n not in other or execution[n] != other[n]]
    return ", ".join(f"{name} {execution[name]}" for name in own) or "nothing known of it"
