"""Which units of the supernet clients trained, replayed from the keys of a run without training.

The cohort of a round, the sizes of its clients and the order of the units follow from the keys and
the data. So for every client of every round it is known which units it trained. Where the weights
or losses of the run decide, nothing can be replayed, and that is said.
"""

from __future__ import annotations

import csv
import functools
import pathlib
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from experiments.analysis import results
from experiments.config import ROOM_OF, RunConfig, with_fields
from experiments.study.arm import Arm
from experiments.study.block import Block, named_block
from experiments.study.data import build_dataset
from experiments.study.manifest import HASHED, Manifest, read_manifest
from experiments.study.program import build_programs, build_trial
from hasa_jax.base import UserError
from hasa_jax.datasets import fingerprint
from hasa_jax.simulation.escapes import csv_cell, from_csv_cell
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.run_json import LIBRARY
from hasa_jax.simulation.sampling import POWER_OF_CHOICE, draw_clients
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.writers import say
from hasa_jax.supernet.types import Broadcast, Extraction, Model
from hasa_jax.supernet.units import kept_of_width

FILE = "coverage.csv"
"""Name of the table in a workdir."""

MEASURED = "measured.csv"
"""Name of the table of a policy that measures."""

EXITS = "exits"
"""What the table calls the exits of methods whose subnets differ in depth."""

_BY_KEYS = ("depth_width", "ordered_dropout", "prefix", "random", "rolling")
"""Extractions whose order of units needs no weights."""

_FREE = ("workdir", "picture_formats", "data_path", "data_dir", *HASHED)
"""Fields that the user may give; run.json has all others."""

Shares = dict[str, np.ndarray]
"""By group: the share of the clients' updates that train each unit `[U]`."""


class Replayed(NamedTuple):
    """What is known of one arm.

    Attributes:
      shares: means over seeds and folds; empty if it cannot be replayed.
      reason: why it cannot be.
    """

    shares: Shares
    reason: str


def why_not(program: Program, trial: Trial, num_rounds: int) -> str:
    """Says why a run cannot be replayed.

    Args:
      program: what ran.
      trial: its sizes, with those of measurements.
      num_rounds: rounds of the run.

    Returns:
      The reason; empty if it can be.
    """
    if program.extraction.order is None:
        return "clients keep single parameters, which the weights of the run decide"
    if program.extraction.name not in _BY_KEYS:
        return "the weights of the run rank the units"
    if program.training.sampling == POWER_OF_CHOICE:
        return "the losses of the run decide who trains"
    own = trial.allocation.reallocation
    if own is not None and len(own.given) < sum(map(own.begins, range(num_rounds))):
        return f"measurements of the run decide the sizes, and {MEASURED} does not have all"
    return ""


def trained_shares(program: Program, trial: Trial, num_rounds: int) -> Shares:
    """Replays which units the clients trained.

    `share_u = sum_r sum_{i in cohort r} 1[client i trains unit u in round r] / number of (r, i)`

    An update that is lost counts, as its client trained. Of ordered dropout, where each step draws
    its width, a client counts with the expected share of its steps that train the unit.

    Args:
      program: what ran; `why_not` must be empty.
      trial: data, sizes and key of the run.
      num_rounds: rounds of the run.

    Returns:
      Shares within [0, 1], by group; with subnets of several depths also of `EXITS`.
    """
    model, extraction, training = program.model, program.extraction, program.training
    ranks_of = _ranks_of(model, extraction, trial.key)
    totals = {group: np.zeros(units) for group, units in model.groups.items()}
    totals |= {EXITS: np.zeros(model.num_exits)} if extraction.all_exits else {}
    by_rank = functools.cache(functools.partial(_by_rank, model, extraction))
    updates = 0
    for round in range(num_rounds):
        clients = draw_clients(
            training.sampling,
            training.clients_per_round,
            trial.allocation.takes_part,
            trial.dataset.train.num_examples,
            trial.key,
            round,
            training.availability,
        )
        updates += len(clients)
        sizes, ranks = trial.allocation.sizes_at(round)[clients], ranks_of(clients, round)
        for group, total in totals.items():
            shares = np.stack([by_rank(int(size))[group] for size in sizes]) if len(sizes) else 0
            if group == EXITS or not len(sizes):
                total += np.sum(shares, axis=0)
            else:
                total += np.take_along_axis(shares, ranks[group], axis=1).sum(0)
    return {group: total / max(updates, 1) for group, total in totals.items()}


def _by_rank(model: Model, extraction: Extraction, size: int) -> Shares:
    """Returns the share of the steps that train the unit of each rank, by group."""
    shape = extraction.shape(model, size)
    kept = dict(shape.kept)
    largest = max(model.groups, key=lambda group: model.groups[group])
    levels = [kept_of_width(model.groups, level) for level in extraction.levels]
    choices = [*(own for own in levels if own[largest] < kept[largest]), kept]
    found = {
        group: np.mean([np.arange(units) < own[group] for own in choices], axis=0)
        for group, units in model.groups.items()
    }
    return found | {EXITS: (np.arange(model.num_exits) < shape.exits).astype(float)}


def _ranks_of(model: Model, extraction: Extraction, key: jax.Array) -> Any:
    """Returns `(clients [C], round) -> {group: ranks [C, U]}`."""

    def ranks(client: jax.Array, round: jax.Array) -> dict[str, jax.Array]:
        if extraction.order is None:
            return {}
        sent = Broadcast(model, None, round, client, key, _no_sample, jnp.int32(0), 0)
        return {group: jnp.asarray(own) for group, own in extraction.order(sent).items()}

    both = jax.jit(jax.vmap(ranks, in_axes=(0, None)))

    def of(clients: np.ndarray, round: int) -> dict[str, np.ndarray]:
        # All clients of one size hold the same part, so one of them is enough.
        asked = clients[:1] if extraction.by_size else clients
        found = jax.device_get(both(jnp.asarray(asked, jnp.int32), jnp.int32(round)))
        return {
            group: np.broadcast_to(own, (len(clients), own.shape[1]))
            for group, own in found.items()
        }

    return of


def _no_sample(params: Any, positions: jax.Array) -> jax.Array:
    """Stands where extractions that look at data have a loss."""
    raise UserError(f"the order of units looks at data: {params}, {positions}")


def replay(config: RunConfig, given: Set[str], folder: pathlib.Path) -> dict[Arm, Replayed]:
    """Replays all arms of a workdir.

    Args:
      config: names files that are elsewhere now, if `given` has them.
      given: fields that the user gave.
      folder: the workdir.

    Returns:
      What is known of each arm.

    Raises:
      UserError: if it is a run of the library, if its files or data are not those of the run, or
        if the user gave other fields.
    """
    known = read_manifest(folder)
    if known.script == LIBRARY:
        raise UserError(f"{folder} is a run of the library, whose run.json names no data set")
    for name in sorted(given - {*_FREE}):
        raise UserError(f"`{name}` is in run.json of {folder} already: leave it out")
    # What was read from a file is recorded by its hash, so that the user must name it again.
    files = {name: getattr(config, ROOM_OF[name]) for name in _FREE if name in given}
    files = {name: getattr(room, name) for name, room in files.items() if name != "workdir"}
    run = with_fields(known.run, files)
    records = results.source_of(folder).summary
    arms = list(dict.fromkeys(Arm(r["method"], r["policy"]) for r in records))
    shares: dict[Arm, list[Shares]] = {arm: [] for arm in arms}
    path = folder / MEASURED
    measured = results.read_records(path, ("given_size",)) if path.exists() else []
    reasons: dict[Arm, str] = {}
    for name, sha256 in known.data_sha256.items():
        block = named_block(name)
        dataset = build_dataset(run.data, frozenset(), *block)
        if fingerprint(dataset) != sha256:
            raise UserError(_other_data(folder, known, block, files))
        for arm, program in build_programs(run, dataset, arms).items():
            trial = build_trial(run, program, dataset, arm, block, {})
            trial = _with_measured(trial, measured, arm, block)
            reasons[arm] = why_not(program, trial, run.training.num_rounds)
            if not reasons[arm]:
                shares[arm].append(trained_shares(program, trial, run.training.num_rounds))
    return {arm: Replayed(_mean(shares[arm]), reasons[arm]) for arm in arms}


def _other_data(
    folder: pathlib.Path, known: Manifest, block: Block, given: Mapping[str, Any]
) -> str:
    """Says that a data set is not that of the run, and what may be the reason."""
    commit = known.code.get("git_commit") or "not recorded"
    own = known.config.get("data", {})
    named = [name for name in ("data_path", "data_dir") if name in given or own.get(name)]
    what = f"name the files of the run with `{named[0]}`, if these are others; or " if named else ""
    return (
        f"{folder} ran on other data than `dataset={known.run.data.dataset}` gives here ({block}): "
        f"{what}use the version that it ran with (commit {commit}), if this one prepares data in "
        "another way"
    )


def _with_measured(
    trial: Trial, measured: Sequence[results.Record], arm: Arm, block: Block
) -> Trial:
    """Returns a trial with the sizes that its measurements gave, where they are recorded."""
    if trial.allocation.reallocation is None:
        return trial
    given: dict[int, dict[str, int]] = {}
    for record in measured:
        if (record["method"], record["policy"]) == arm and results.block_of(record) == block:
            own = given.setdefault(int(record["round"]), {})
            own[record["client"]] = int(record["given_size"])
    sizes = [
        np.array([own.get(name, 0) for name in trial.dataset.client_names], np.int64)
        for _, own in sorted(given.items())
    ]
    return trial._replace(allocation=trial.allocation.with_given(sizes))


def _mean(shares: Sequence[Shares]) -> Shares:
    """Returns the means over seeds and folds."""
    if not shares:
        return {}
    return {group: np.mean([own[group] for own in shares], axis=0) for group in shares[0]}


def write(found: Mapping[Arm, Replayed], path: pathlib.Path) -> None:
    """Writes a record for each unit, and for each arm that cannot be replayed.

    Args:
      found: what is known of each arm.
      path: the file, replaced if there.
    """
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("method", "policy", "group", "unit", "share", "reason"))
        for arm, own in found.items():
            front = tuple(map(csv_cell, arm))
            if own.reason:
                writer.writerow((*front, "", "", "", own.reason))
            for group, shares in own.shares.items():
                for unit, share in enumerate(shares.tolist()):
                    writer.writerow((*front, csv_cell(group), unit, f"{share:.5g}", ""))


def read(path: pathlib.Path) -> dict[Arm, Replayed]:
    """Reads what `write` has written.

    Args:
      path: the file.

    Returns:
      What is known of each arm.

    Raises:
      UserError: if it is damaged.
    """
    shares: dict[Arm, dict[str, list[float]]] = {}
    reasons: dict[Arm, str] = {}
    try:
        with path.open(encoding="utf-8", newline="") as file:
            for record in csv.DictReader(file):
                arm = Arm(*(from_csv_cell(record[name]) for name in ("method", "policy")))
                own, reasons[arm] = shares.setdefault(arm, {}), record["reason"]
                if not record["reason"]:
                    own.setdefault(from_csv_cell(record["group"]), []).append(
                        float(record["share"])
                    )
        if not shares:
            raise ValueError(path)
    except (KeyError, TypeError, ValueError, csv.Error):
        raise UserError(f"{path} is damaged: run coverage again") from None
    return {
        arm: Replayed({g: np.array(v) for g, v in own.items()}, reasons[arm])
        for arm, own in shares.items()
    }


def report(config: RunConfig, given: Set[str]) -> list[pathlib.Path]:
    """Writes coverage.csv into workdirs.

    Args:
      config: names the workdirs, with commas between them.
      given: fields that the user gave.

    Returns:
      The workdirs.

    Raises:
      UserError: as `replay`.
    """
    folders = results.folders_of(config.reporting.workdir)
    for folder in folders:
        found = replay(config, given, folder)
        write(found, folder / FILE)
        for arm, own in found.items():
            if own.reason:
                say(f"{arm.method}:{arm.policy} is not replayed: {own.reason}")
        say(str(folder / FILE))
    return folders
