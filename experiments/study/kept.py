"""What finished tables have of runs without a checkpoint: it stays, and does not run again.

Committed results have no checkpoints, which are large. A workdir that holds a copy of such results
grows by arms and seeds as any other one.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from experiments.analysis import results
from experiments.study import manifest
from experiments.study.arm import Arm
from experiments.study.block import Block, named_block
from hasa_jax.base import UserError
from hasa_jax.execution import processes
from hasa_jax.simulation.writers import TABLES, Writer

_FRONT = "method,policy,extraction,aggregation,seed,fold,round"
COLUMNS = {
    "metrics": f"{_FRONT},client,num_examples,size,width,split,loss,accuracy",
    "summary": f"{_FRONT},mean_accuracy,weighted_accuracy,worst_accuracy,tail_accuracy,"
    "std_accuracy,budget_requested,budget_width,budget_params,budget_uncut,budget_macs,"
    "budget_bytes,budget_executed,bytes_down,bytes_up,bytes_once,severed,global_mean_accuracy,"
    "global_weighted_accuracy,global_worst_accuracy,global_tail_accuracy,global_std_accuracy,"
    "updates,updates_asked",
    "timings": f"{_FRONT},train_seconds,compile_seconds,evaluation_compile_seconds,programs",
}
"""Columns of the tables that every run writes after each evaluation."""

Record = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Kept:
    """The finished tables of a workdir as a run finds them; they are read when first asked for.

    Attributes:
      folder: the workdir.
      rounds: rounds with an evaluation.
      hashes: SHA-256 of the data of each block that run.json has, by its name.
    """

    folder: pathlib.Path
    rounds: tuple[int, ...]
    hashes: Mapping[str, str]

    def last(
        self, arm: Arm, blocks: Sequence[Block], hashes: Mapping[str, str]
    ) -> list[Record] | None:
        """Returns the last record of `summary` of every block, if the tables have all of theirs.

        Args:
          arm: what ran.
          blocks: those that share a program.
          hashes: SHA-256 of the data of each block now, by its name.

        Returns:
          A record for each block; None if a block lacks a record, or columns that runs write now.

        Raises:
          UserError: if the tables are damaged, or of other data.
        """

        def find() -> list[Record] | None:
            whole = all(block.name in self.hashes and self._whole(arm, block) for block in blocks)
            if not whole:
                return None
            for block in blocks:
                if self.hashes[block.name] != hashes[block.name]:
                    raise UserError(
                        f"workdir {self.folder} holds metrics of other data "
                        f"({named_block(block.name)}, by its hash in {manifest.NAME}): name "
                        "another with `workdir`"
                    )
            return [self._tables["summary"][arm, block][self.rounds[-1]][-1] for block in blocks]

        return processes.from_first(find)

    def give(self, arm: Arm, blocks: Sequence[Block], writers: Sequence[Writer]) -> None:
        """Gives writers what the tables have, in the order in which a run does.

        Args:
          arm: what ran.
          blocks: those that share a program; `last` has found all of their records.
          writers: take the records; only the first process has any.
        """
        for round in self.rounds if writers else ():
            for block in blocks:
                for writer in writers:
                    for table in TABLES:
                        own = self._tables[table].get((arm, block), {})
                        writer.write(table, own.get(round, []))

    @functools.cached_property
    def _tables(self) -> dict[str, dict[tuple[Arm, Block], dict[int, list[Record]]]]:
        """Records by table, arm and block, and evaluation; measurements go to the one after."""
        return {table: self._read(table) for table in TABLES}

    def _read(self, table: str) -> dict[tuple[Arm, Block], dict[int, list[Record]]]:
        """Reads a table; one that is missing, or has other columns than runs write, has nothing."""
        path = self.folder / f"{table}.csv"
        found: dict[tuple[Arm, Block], dict[int, list[Record]]] = {}
        if not path.exists():
            return found
        records = results.read_records(path, ())
        if ",".join(records[0]) != COLUMNS.get(table, ",".join(records[0])):
            return found
        for record in records:
            where = Arm(record["method"], record["policy"]), results.block_of(record)
            at = next((r for r in self.rounds if r >= int(record["round"])), 0)
            own = found.setdefault(where, collections.defaultdict(list))
            own[at].append({name: _value(name, cell) for name, cell in record.items()})
        return found

    def _whole(self, arm: Arm, block: Block) -> bool:
        """Returns whether every table that all runs write has records of every evaluation."""
        return all(
            set(self._tables[table].get((arm, block), ())) == set(self.rounds) for table in COLUMNS
        )


def kept_in(folder: pathlib.Path, num_rounds: int, eval_every: int) -> Kept:
    """Finds the finished tables of a workdir, before a run writes there.

    Args:
      folder: the workdir.
      num_rounds: rounds of the run.
      eval_every: rounds between evaluations.

    Returns:
      The tables, not read yet; without any, nothing is kept.

    Raises:
      UserError: if run.json is damaged.
    """

    def find() -> dict[str, str]:
        there = all((folder / name).exists() for name in ("summary.csv", manifest.NAME))
        return dict(manifest.read_manifest(folder).data_sha256) if there else {}

    rounds = (*range(eval_every, num_rounds, eval_every), num_rounds)
    return Kept(folder, rounds, processes.from_first(find))


def _value(name: str, cell: str) -> Any:
    """Returns what a run wrote into a cell: a text, a whole number or another one."""
    if name in results.NAMES or not cell:
        return cell
    try:
        return int(cell)
    except ValueError:
        return float(cell)
