"""A benchmark: the runs of one share of a suite, and the table and picture of all of them."""

from __future__ import annotations

import functools
from collections.abc import Set

from experiments.analysis import suite_table
from experiments.config import RunConfig
from experiments.rooms import share_of
from experiments.study import sweep, sweep_states
from experiments.study.suite import (
    names_of_own,
    read_suite,
    refuse_missing_files,
    sweep_of_suite,
)
from hasa_jax.simulation.writers import say


def benchmark(config: RunConfig, given: Set[str]) -> None:
    """Runs a share of a suite, and writes the table and the picture of what all shares have done.

    Args:
      config: the suite, the share, the folders, and how runs use the machine.
      given: fields that the user gave.

    Raises:
      UserError: for a field that the suite fixes, or a task without its files, before anything
        runs; at the end if runs failed.
      Stopped: if a signal asked the run to stop, and it did.
    """
    suite = read_suite(config.sweep.suite, names_of_own(config))
    found = sweep_of_suite(suite, config, given)
    for own in suite.left_out:
        say(f"does not apply: {own.arm} on {own.task}: {own.reason}")
    if suite.left_out:
        say(f"{suite.arms_left_out} arms of all tasks and budgets do not apply and are left out")
    if not config.sweep.dry_run:
        share = found.share(*share_of(config.sweep.shard))
        left = [run for run in share if sweep_states.state_of(run).what != sweep_states.DONE]
        names = {run.point.shown["task"] for run in left}
        refuse_missing_files(suite, names, config.data.data_dir)
    shown = functools.partial(suite_table.shown, suite)
    write = functools.partial(suite_table.write, suite, config.reporting.table_formats)
    sweep.run_share(found, config.sweep, shown, write)
