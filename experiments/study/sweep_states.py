"""What there is of a run of a sweep: its workdir says so, whichever process has written it."""

from __future__ import annotations

import contextlib
import pathlib
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

from experiments.analysis import results
from experiments.study import manifest, workdir
from experiments.study.block import blocks_of
from experiments.study.manifest import Manifest
from experiments.study.own_methods import own_methods, refuse_other_source
from experiments.study.sweep_points import Run
from hasa_jax.base import UserError

DONE, BEGUN, FAILED, MISSING = "done", "begun", "failed", "missing"
STATES = (DONE, BEGUN, FAILED, MISSING)
"""All rounds are there; some may be; the last attempt ended in an error; nothing is there."""

_MOST = 20
"""Runs in a state that a line names."""

_STARTED, _ERROR = "started", "error"
"""Ends of the names of files beside the folder of a run."""


class State(NamedTuple):
    """What there is of a run.

    Attributes:
      what: one of `STATES`.
      reason: the error of a run that failed.
      readable: False if its folder holds another run, or damaged results.
    """

    what: str
    reason: str = ""
    readable: bool = True


def state_of(run: Run) -> State:
    """Looks at the workdir of a run.

    Args:
      run: the run.

    Returns:
      Its state.
    """
    try:
        what = _found(run)
    except UserError as error:
        return State(FAILED, str(error), readable=False)
    if what == DONE:
        return State(DONE)
    with contextlib.suppress(FileNotFoundError):
        return State(FAILED, _beside(run, _ERROR).read_text(encoding="utf-8").strip())
    return State(what)


def states_of(runs: Sequence[Run]) -> tuple[State, ...]:
    """Looks at the workdirs of several runs.

    Args:
      runs: the runs.

    Returns:
      Their states, in the same order.
    """
    return tuple(map(state_of, runs))


def begin(run: Run) -> None:
    """Marks a run that is about to begin; the mark stays if its process is killed.

    Args:
      run: the run.
    """
    with contextlib.suppress(OSError):  # The run itself says what is wrong with its folder.
        _beside(run, _STARTED).touch()


def end(run: Run, reason: str) -> None:
    """Takes the mark of a run away, and keeps why it failed, where other shards find it.

    Args:
      run: the run.
      reason: one line; if empty, the run did not fail.
    """
    with contextlib.suppress(OSError):  # It may have failed because nothing can be written.
        _beside(run, _STARTED).unlink(missing_ok=True)
        if reason:
            _beside(run, _ERROR).write_text(f"{reason}\n", encoding="utf-8")
        else:
            _beside(run, _ERROR).unlink(missing_ok=True)


def ended_badly(run: Run) -> bool:
    """Returns whether the last attempt failed, or its process was killed or is at work.

    Args:
      run: the run.

    Returns:
      True if it should be tried after all others, which it may keep from running.
    """
    return _beside(run, _STARTED).exists() or _beside(run, _ERROR).exists()


def _beside(run: Run, what: str) -> pathlib.Path:
    """Returns a file beside the folder of a run, which may hold another run."""
    return run.folder.with_name(f"{run.folder.name}.{what}")


def _found(run: Run) -> str:
    """Returns whether a workdir has all of a run, a part of it, or nothing.

    Raises:
      UserError: if it is damaged, or holds another run.
    """
    if not (run.folder / manifest.NAME).exists():
        return MISSING
    found = manifest.read_manifest(run.folder)
    wanted = Manifest(run.script, manifest.recorded(run.config), {})
    old, new = workdir.shared_fields(found), workdir.shared_fields(wanted)
    # The data decide the model where the user does not.
    free = {"model"} if new["model"] is None else set()
    differing = {name for name in old | new if old.get(name) != new.get(name)} - free
    if differing == {"num_rounds"} and workdir.goes_further(found.run, run.config):
        return BEGUN
    if differing:
        raise UserError(
            f"workdir {run.folder} holds a run of another configuration "
            f"({', '.join(sorted(differing))}): name another folder for the sweep with `workdir`"
        )
    own = own_methods(run.config.method.own_method)
    refuse_other_source(
        run.folder, found.methods, {name: each.recorded for name, each in own.items()}
    )
    if not all((run.folder / f"{table}.csv").exists() for table in ("metrics", "summary")):
        return BEGUN
    records = results.read_records(run.folder / "summary.csv", results.SUMMARY_NUMBERS)
    last = {
        (results.block_of(own), own["method"], own["policy"])
        for own in records
        if int(own["round"]) == run.config.training.num_rounds
    }
    blocks = blocks_of([run.seed], run.config.data.eval_folds)
    return DONE if last >= {(b, *arm) for b in blocks for arm in run.arms} else BEGUN


def lines_of(runs: Sequence[Run], states: Sequence[State]) -> list[str]:
    """Counts runs by their state, and names those that are not done.

    Args:
      runs: of a sweep.
      states: of every run, in their order.

    Returns:
      One line each; the first has the counts.
    """
    counts = Counter(state.what for state in states)
    counted = ", ".join(f"{counts[what]} {what}" for what in STATES if counts[what])
    lines = [f"{len(runs)} runs: {counted}."]
    for what in (BEGUN, FAILED, MISSING):
        names = [
            f"{run.label} ({state.reason})" if state.reason else run.label
            for run, state in zip(runs, states, strict=True)
            if state.what == what
        ]
        more = f"; and {len(names) - _MOST} more" if len(names) > _MOST else ""
        if names:
            lines.append(f"{what}: {'; '.join(names[:_MOST])}{more}.")
    return lines
