"""Checkpoints of a run: complete or not there at all, and checked when they are read.

A folder holds one run; each checkpoint is a step of `orbax.checkpoint.CheckpointManager`, named
by its round. It gets the SHA-256 of its files before it gets its name. So damage to any file is
found, and the checkpoint before it is used. The records of the run are in one file beside them,
which only grows; a checkpoint names the length and the SHA-256 of its part. Only this module
imports orbax.

Several processes write their arrays of a checkpoint to one folder, which all of them see.
The first one does everything else: sums, records, names of what is damaged.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np

from hasa_jax import keys
from hasa_jax.base import PyTree, UserError
from hasa_jax.datasets.paths import path_of
from hasa_jax.execution import processes
from hasa_jax.simulation.named_arrays import named_leaves, rebuilt
from hasa_jax.simulation.record_file import Mark, RecordFile, RecordFileError

_FORMAT = 5
_SUM = "SHA256"

RECORDS = "records.jsonl"
"""Name of the file of records in a folder of checkpoints."""
_FOREVER = 10**9
"""Seconds; about thirty years."""


class _DamageError(Exception):
    """A checkpoint is not what was written, or not of this run's shape."""


_DAMAGE = (
    _DamageError,
    RecordFileError,
    FileNotFoundError,
    NotADirectoryError,
    KeyError,
    TypeError,
    ValueError,
)
"""What an incomplete checkpoint can raise; other exceptions say nothing about it."""


class Saved(NamedTuple):
    """What a run needs to continue as if it had never stopped.

    Attributes:
      round: rounds done.
      states: the server's states; PRNG keys are keys again. Arrays are on the host, or where those
        of the run are if its processes share the devices.
      record: what the run wrote so far, as JSON holds it; `Columns` are without names of clients.
    """

    round: int
    states: PyTree
    record: list[Any]


def read_arrays(folder: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads the arrays of the latest checkpoint in a folder, such as a finished run's parameters.

    Args:
      folder: checkpoints of one run.

    Returns:
      Arrays by their path in the server's state, `params/...` and others, with a leading axis of
      the trials that shared a program.

    Raises:
      UserError: if there is no checkpoint, or it cannot be read.
    """
    import orbax.checkpoint as ocp

    folder = path_of(folder)
    none = UserError(f"no checkpoint is in {folder}: name a folder of checkpoints of a run")
    if not folder.is_dir():
        raise none
    with ocp.CheckpointManager(
        folder.absolute(),
        options=_options(ocp, None, False),
        item_handlers={
            "arrays": ocp.StandardCheckpointHandler(),
            "content": ocp.JsonCheckpointHandler(),
        },
    ) as manager:
        latest = manager.latest_step()
        if latest is None:
            raise none
        try:
            _check_sum(folder / str(latest))
            # The devices that wrote them may not be here.
            there = manager.item_metadata(latest).arrays
            shapes = {name: np.empty(leaf.shape, leaf.dtype) for name, leaf in there.items()}
            args = ocp.args.Composite(arrays=ocp.args.StandardRestore(shapes))
            found = manager.restore(latest, args=args)
        except _DAMAGE as error:
            raise UserError(
                f"the checkpoint of round {latest} in {folder} cannot be read ({_reason(error)})"
            ) from None
    return {name: np.asarray(leaf) for name, leaf in found["arrays"].items()}


def _options(
    ocp: Any, keep: int | None, create: bool, then: Callable[[], None] | None = None
) -> Any:
    """Returns orbax's options; `then` is called once a checkpoint is complete.

    Orbax measures its timeouts by the clock of the machine, which may be set while it waits. So it
    gets a timeout that no step of a clock reaches, and makes folders before it returns: another
    thread would wait for them, with a timeout that cannot be chosen.
    """
    later = ocp.options.AsyncOptions(
        timeout_secs=_FOREVER,
        create_directories_asynchronously=False,
        post_finalization_callback=then,
    )
    return ocp.CheckpointManagerOptions(max_to_keep=keep, create=create, async_options=later)


def _reason(error: Exception) -> str:
    """Returns in one short line what went wrong."""
    return " ".join(str(error).split())[:200] or type(error).__name__


class Checkpoints:
    """The checkpoints of one run.

    Args:
      folder: where they are; made if it is not there.
      identity: what makes two runs the same one, as JSON holds it; a checkpoint of another
        identity is not used.
      every: rounds between checkpoints, which are taken at evaluations; the last round has one
        in any case.
      keep: how many of the latest stay.
      say: takes lines about checkpoints that cannot be used.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        identity: Mapping[str, Any],
        *,
        every: int = 10,
        keep: int = 2,
        say: Callable[[str], None] = print,
    ) -> None:
        import orbax.checkpoint as ocp  # Slow to import, so only who keeps checkpoints waits.

        for name, value in (("every", every), ("keep", keep)):
            if value < 1:
                raise UserError(f"`{name}` of checkpoints is {value}: it must be at least 1")
        self._folder, self._every, self._say = path_of(folder), every, say
        own = {"run": identity, "random": keys.switches()}
        self._identity = json.loads(json.dumps(own))  # Tuples come back as lists.
        self._saving = 0
        self._records = RecordFile(self._folder / RECORDS)
        self._orbax = ocp
        self._manager = self._guarded(
            "could not be opened",
            lambda: ocp.CheckpointManager(
                self._folder.absolute(), options=_options(ocp, keep, True, self._add_up_files)
            ),
        )

    def due(self, before: int, done: int) -> bool:
        """Returns whether one is due in the rounds from `before` to `done`."""
        return done // self._every > before // self._every

    def save(self, round: int, states: PyTree, record: Sequence[Any]) -> None:
        """Writes a checkpoint while the run goes on; waits for the one before it.

        Args:
          round: rounds done.
          states: the server's states.
          record: what the run wrote so far.

        Raises:
          UserError: if this or the one before could not be written.
        """
        if processes.from_first(lambda: round in self._manager.all_steps()):
            return
        self._guarded("could not be written", self._manager.wait_until_finished)
        mark = self._guarded(
            "could not be written",
            lambda: processes.from_first(lambda: self._records.extend(record)._asdict()),
        )
        arrays = dict(named_leaves(states))
        content = {
            "format": _FORMAT,
            "identity": self._identity,
            "round": round,
            "records": mark,
        }
        args = self._orbax.args.Composite(
            arrays=self._orbax.args.StandardSave(arrays),
            content=self._orbax.args.JsonSave(content),
        )
        self._saving = round
        self._guarded("could not be written", lambda: self._manager.save(round, args=args))

    @property
    def empty(self) -> bool:
        """Whether there is no checkpoint, not even a damaged one."""
        return processes.from_first(lambda: not self._manager.all_steps())

    def latest(self, like: PyTree) -> Saved | None:
        """Reads the latest complete checkpoint; those after it are renamed.

        Args:
          like: the states of a run that starts, to which those of a checkpoint must fit; they
            may have been written by another number of processes and devices.

        Returns:
          The checkpoint, or None if there is none.

        Raises:
          UserError: if there are checkpoints of another run, which stay as they are.
        """
        rounds = processes.from_first(lambda: sorted(self._manager.all_steps(), reverse=True))
        for round in rounds:
            # The first process checks it, then all of them read their arrays of it.
            found = processes.from_first(lambda round=round: self._checked(round))
            damage = found.get("damage")
            if damage is None:
                saved, damage = self._read(round, like, Mark(**found["records"]))
                if not processes.largest(int(damage is not None)):
                    return saved
            name = processes.from_first(lambda round=round: self._rename_damaged(round))
            self._manager.reload()
            self._say(
                f"the checkpoint of round {round} in {self._folder} cannot be used "
                f"({damage or 'in another process'}): it is now {name}, and the one before it is "
                "tried"
            )
        if rounds:
            processes.from_first(self._rename_records)
        return None

    def close(self) -> None:
        """Waits until everything is written.

        Raises:
          UserError: if something could not be.
        """
        self._guarded("could not be written", self._manager.wait_until_finished)
        self._guarded("could not be written", self._manager.close)

    def _add_up_files(self) -> None:
        """Puts the sum of its files into a checkpoint that is about to get its final name."""
        for folder in self._folder.glob(f"{self._saving}.orbax-checkpoint-tmp*"):
            (folder / _SUM).write_text(_sum_of(folder), encoding="utf-8")

    def _checked(self, round: int) -> dict[str, Any]:
        """Checks a checkpoint; returns the mark of its records, or its damage, as JSON holds it."""
        try:
            return {"records": self._content(round)["records"]}
        except UserError:
            raise
        except _DAMAGE as error:
            return {"damage": _reason(error)}

    def _content(self, round: int) -> dict[str, Any]:
        """Reads what a checkpoint says of itself, and refuses what is not of this run."""
        step = self._folder / str(round)
        _check_sum(step)
        content = json.loads((step / "content" / "metadata").read_text(encoding="utf-8"))
        if content["format"] != _FORMAT:
            raise _DamageError(f"its format is {content['format']}, not {_FORMAT}")
        if content["identity"] != self._identity:
            raise UserError(
                f"checkpoints in {self._folder} are of a run with other settings, data or switches "
                "of JAX: take another folder, or remove them"
            )
        if content["round"] != round:
            raise _DamageError(f"it is of round {content['round']}")
        return content

    def _read(self, round: int, like: PyTree, records: Mark) -> tuple[Saved | None, str | None]:
        """Reads a checkpoint whose files are what was written; returns it, or its damage."""
        restored = self._orbax.args.StandardRestore(
            {name: _abstract(leaf) for name, leaf in named_leaves(like)}
        )
        args = self._orbax.args.Composite(arrays=restored)
        try:
            arrays = self._manager.restore(round, args=args)["arrays"]
            states = rebuilt(arrays, like)
            return Saved(round, states, self._records.read(records)), None
        except _DAMAGE as error:
            return None, _reason(error)

    def _rename_damaged(self, round: int) -> str:
        """Renames a damaged checkpoint, so that it is not used, and nothing is lost."""
        renamed = self._unused_name(str(round))
        (self._folder / str(round)).rename(renamed)
        return renamed.name

    def _rename_records(self) -> None:
        """Renames records that no checkpoint names; the run that starts writes its own."""
        if self._records.path.exists():
            self._records.path.rename(self._unused_name("records"))

    def _unused_name(self, what: str) -> Path:
        """Returns a path for something damaged that is not taken yet."""
        names = (f"damaged-{what}-{number}" for number in itertools.count(1))
        return next(path for name in names if not (path := self._folder / name).exists())

    def _guarded(self, what: str, act: Callable[[], Any]) -> Any:
        """Calls orbax, and turns what goes wrong into one line."""
        try:
            return act()
        except Exception as error:
            full = "No space left" in str(error) or "quota" in str(error).lower()
            reason = "no space left on the disk" if full else _reason(error)
            advice = "make room" if full else "see to the folder"
            raise UserError(
                f"checkpoints in {self._folder} {what} ({reason}): earlier ones are as "
                f"they were; {advice} and run the same command again"
            ) from error


def _abstract(leaf: np.ndarray | jax.Array) -> np.ndarray | jax.ShapeDtypeStruct:
    """Returns what a leaf is restored like: on the host, or on the devices of several processes."""
    if isinstance(leaf, np.ndarray):
        return leaf
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=leaf.sharding)


def _sum_of(folder: Path) -> str:
    """Returns the SHA-256 of names and contents of our files; orbax's own notes come later."""
    total = hashlib.sha256()
    for path in sorted(path for path in folder.glob("*/**/*") if path.is_file()):
        total.update(f"{path.relative_to(folder)} {path.stat().st_size} ".encode())
        with path.open("rb") as file:
            total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()


def _check_sum(step: Path) -> None:
    """Refuses a checkpoint with other files than were written, before anything parses them."""
    if (step / _SUM).read_bytes() != _sum_of(step).encode():
        raise _DamageError("its files are not what was written")
