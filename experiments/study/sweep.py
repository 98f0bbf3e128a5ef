"""A sweep: the runs of one share, one after the other, and the table of all of them."""

from __future__ import annotations

import functools
import pathlib
import traceback
from collections.abc import Callable, Sequence, Set

import jax

from experiments.analysis import sweep_table
from experiments.config import RunConfig
from experiments.rooms import SweepConfig, share_of
from experiments.study import app, manifest, run, sweep_states
from experiments.study.interruption import Stopped
from experiments.study.sweep_points import Run, Sweep, sweep_of
from experiments.study.sweep_states import State
from hasa_jax.base import UserError
from hasa_jax.simulation.writers import say

Text = Callable[[Sweep, Sequence[State]], str]
"""What is shown of all runs in some states."""


def sweep(config: RunConfig, given: Set[str]) -> None:
    """Runs a share of a sweep, and writes the table of what is there of all shares.

    Args:
      config: the configuration of all runs, with the fields of the sweep.
      given: fields that the user gave.

    Raises:
      UserError: before anything runs for a bad value of any point; at the end if runs failed.
      Stopped: if a signal asked the run to stop, and it did.
    """
    write = functools.partial(sweep_table.write, config.reporting.table_formats)
    run_share(sweep_of(config, given), config.sweep, sweep_table.shown, write)


def run_share(
    found: Sweep, chosen: SweepConfig, shown: Text, write: Callable[[Sweep], str]
) -> None:
    """Runs a share of some runs, and writes what is there of all shares; or only lists it.

    A run that is done does not run again, and one that was begun goes on. A run that fails is
    reported in one line, and the others run. What failed before, or was killed, comes last: it may
    end this process, too.

    Args:
      found: all runs.
      chosen: the share, and whether it is only listed.
      shown: makes the table of a list.
      write: writes the table, and returns it.

    Raises:
      UserError: at the end if runs failed.
      Stopped: if a signal asked the run to stop, and it did.
    """
    index, number = share_of(chosen.shard)
    share = found.share(index, number)
    about = f"{len(share)} of the {len(found.runs)} runs are of shard {chosen.shard}"
    if chosen.dry_run:
        _list(found, index, number, shown)
        say(about)
        return
    _make_folder(found.folder)
    left = [own for own in share if sweep_states.state_of(own).what != sweep_states.DONE]
    left = sorted(left, key=sweep_states.ended_badly)
    say(f"{about}; {len(share) - len(left)} of them are done")
    failed = 0
    for place, own in enumerate(left, start=1):
        say(f"run {place} of {len(left)}, {own.script}: {own.label}")
        failed += not _succeeds(own)
    say(f"\n{write(found)}\nresults: {found.folder}")
    if failed:
        raise UserError(
            f"{failed} of the {len(share)} runs of this shard failed, each with a line above: the "
            "same command tries them again"
        )


def _succeeds(own: Run) -> bool:
    """Runs to the end, or reports in one line why not."""
    reason = ""
    sweep_states.begin(own)
    try:
        (run.train if own.script == "train" else run.compare)(own.config, own.given)
    except Stopped:
        raise
    except Exception as error:  # The other runs of a long array must not be lost with this one.
        reason = app.reason_of(error)
        if not reason:
            traceback.print_exception(error)
            reason = f"a fault of the code, {type(error).__name__}: see above"
        app.fail(f"{own.label}: {reason}")
    finally:
        sweep_states.end(own, app.line_of(reason))
        jax.clear_caches()  # Every run has programs of its own.
    return not reason


def _list(found: Sweep, index: int, number: int, shown: Text) -> None:
    """Prints every run of a share with its state, and the table if a run is done."""
    states = sweep_states.states_of(found.runs)
    for own, state in zip(found.share(index, number), states[index - 1 :: number], strict=True):
        say(f"{state.what:8}{own.label} ({own.script}) in {own.folder}")
    if any(state.what == sweep_states.DONE for state in states):
        say(f"\n{shown(found, states)}\n")


def _make_folder(folder: pathlib.Path) -> None:
    """Makes the folder of all runs; other processes may write below it."""
    if (folder / manifest.NAME).exists():
        raise UserError(
            f"workdir {folder} holds a run, not a sweep: name another folder with `workdir`"
        )
    if folder.exists() and not folder.is_dir():
        raise UserError(f"workdir {folder} is a file: name a folder with `workdir`")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"workdir {folder} cannot be written ({error.strerror}): name another with `workdir`"
        ) from None
