"""Runs that are complete in the finished tables of a workdir: without checkpoints, they are kept.

Checkpoints are large, so results are often kept or shared without them. Such a workdir still grows
by arms and seeds: a kept run is written again from the tables, and nothing is computed.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import hashlib
import itertools
import pathlib
from collections.abc import Mapping, Sequence, Set
from typing import Any

from experiments.analysis import results
from experiments.study import manifest
from experiments.study.arm import Arm
from experiments.study.block import Block
from experiments.study.manifest import Manifest
from hasa_jax.execution import processes
from hasa_jax.simulation.writers import TABLES, Writer, say

ALWAYS = frozenset({"metrics", "summary", "timings"})
"""Tables in which every run has records."""

_FRONT = "method,policy,extraction,aggregation,seed,fold,round"
COLUMNS = {
    "metrics": f"{_FRONT},client,num_examples,size,width,split,loss,accuracy",
    "summary": f"{_FRONT},mean_accuracy,weighted_accuracy,worst_accuracy,tail_accuracy,"
    "std_accuracy,budget_requested,budget_width,budget_params,budget_uncut,budget_macs,"
    "budget_bytes,budget_executed,bytes_down,bytes_up,bytes_once,severed,global_mean_accuracy,"
    "global_weighted_accuracy,global_worst_accuracy,global_tail_accuracy,global_std_accuracy,"
    "updates,updates_asked",
    "sizes": f"{_FRONT},level,size,width,global_accuracy,local_accuracy,empty_layers,severed",
    "measured": f"{_FRONT},client,measured_width,loss,targets,given_size,given_width",
    "timings": f"{_FRONT},train_seconds,compile_seconds,evaluation_compile_seconds,programs",
}
"""Columns that runs write: those of other code are not mixed with them."""

Record = dict[str, Any]
_Records = dict[tuple[Arm, Block], dict[int, list[Record]]]
"""By arm and block, and the round of the evaluation that they came with."""


@dataclasses.dataclass(frozen=True)
class Kept:
    """The finished tables of a workdir as a run finds them; each is read when it is needed.

    Attributes:
      folder: the workdir.
      tables: names of the tables that run.json vouches for; the others do not count.
      hashes: SHA-256 of the data that they are of, by the name of the block.
      rounds: rounds with an evaluation.
      measures_first: whether a measurement after a round comes with the evaluation of that round,
        and not with the next one.
    """

    folder: pathlib.Path
    tables: Set[str]
    hashes: Mapping[str, str]
    rounds: tuple[int, ...]
    measures_first: bool = False

    def check_data(self, hashes: Mapping[str, str]) -> None:
        """Refuses other data than those of the tables.

        Args:
          hashes: SHA-256 of the data of some blocks, by their names.

        Raises:
          UserError: naming the first block with other data.
        """
        if self.tables:
            manifest.refuse_other_data(self.folder, self.hashes, hashes)

    def last(self, arm: Arm, blocks: Sequence[Block], needed: Set[str]) -> list[Record] | None:
        """Returns the last record of `summary` of every block, if their runs are kept.

        Args:
          arm: what ran.
          blocks: those that share a program.
          needed: tables in which a run of the arm has records.

        Returns:
          A record for each block; None if the tables do not have all records of each. If they have
          some, a line says why the runs start over.
        """
        return processes.from_first(lambda: self._last(arm, blocks, needed))

    def give(self, arm: Arm, blocks: Sequence[Block], writers: Sequence[Writer]) -> None:
        """Gives writers all records, in the order in which a run does.

        Args:
          arm: what ran.
          blocks: those that share a program; `last` has found their records.
          writers: take the records; only the first process has any.
        """
        every = itertools.product(self.rounds, blocks) if writers else ()
        for round, block in every:
            for writer, table in itertools.product(writers, TABLES):
                own = self._read[table].get((arm, block), {}) if table in self.tables else {}
                writer.write(table, own.get(round, []))

    def _last(self, arm: Arm, blocks: Sequence[Block], needed: Set[str]) -> list[Record] | None:
        """Finds what `last` returns."""
        found = self._read["summary"] if "summary" in self.tables else {}
        own = [found.get((arm, block), {}) for block in blocks]
        if not any(own):
            return None
        if why := self._why_not(own, needed):
            shown = f"{arm.method} ({arm.policy}), {blocks[0]}"
            more = f" and {len(blocks) - 1} more" if len(blocks) > 1 else ""
            say(f"{shown}{more}: its run starts over, as {why}, and it has no checkpoint")
            return None
        return [records[self.rounds[-1]][-1] for records in own]

    def _why_not(self, own: Sequence[Mapping[int, Any]], needed: Set[str]) -> str:
        """Says why runs with these records of `summary` are not kept; empty if they are."""
        if any(set(records) != set(self.rounds) for records in own):
            return "finished tables do not have all of its rounds"
        for table in sorted(needed):
            if table not in self.tables:
                return f"{table}.csv is missing"
            if self._columns(table) != COLUMNS[table]:
                return f"{table}.csv has the columns of other code"
        return ""

    def _columns(self, table: str) -> str:
        """Reads the first line of a table."""
        with (self.folder / f"{table}.csv").open(encoding="utf-8") as file:
            return file.readline().rstrip("\n")

    @functools.cached_property
    def _read(self) -> _Tables:
        """The tables that were read."""
        return _Tables(self)


class _Tables(dict[str, _Records]):
    """Records by table; a table is read when it is first asked for."""

    def __init__(self, kept: Kept) -> None:
        super().__init__()
        self._kept = kept

    def __missing__(self, table: str) -> _Records:
        kept, found = self._kept, {}
        later = table == "measured" and not kept.measures_first
        for record in results.read_records(kept.folder / f"{table}.csv", ()):
            where = Arm(record["method"], record["policy"]), results.block_of(record)
            after = int(record["round"]) + later
            at = next((round for round in kept.rounds if round >= after), 0)
            own = found.setdefault(where, collections.defaultdict(list))
            own[at].append({name: _value(name, cell) for name, cell in record.items()})
        self[table] = found
        return found


def digests_of(folder: pathlib.Path) -> dict[str, str]:
    """Returns the SHA-256 of every finished table in a folder, by its name."""
    found = {}
    for table in TABLES:
        path = folder / f"{table}.csv"
        if path.is_file():
            with path.open("rb") as file:
                found[table] = hashlib.file_digest(file, "sha256").hexdigest()
    return found


def kept_in(folder: pathlib.Path, run: Manifest) -> Kept:
    """Returns what a run keeps of the finished tables of its workdir.

    Args:
      folder: the workdir.
      run: what describes the run, with what run.json had.

    Returns:
      The tables, not read yet.
    """
    last, every = run.run.training.num_rounds, run.run.reporting.eval_every
    return Kept(
        folder,
        frozenset(run.tables),
        dict(run.data_sha256),
        (*range(every, last, every), last),
        measures_first=run.run.reporting.scored_draw == "next",
    )


def _value(name: str, cell: str) -> Any:
    """Returns what a run wrote into a cell: a text, a whole number or another one."""
    if name in results.NAMES or not cell:
        return cell
    try:
        return int(cell)
    except ValueError:
        return float(cell)
