"""Runs of Weights & Biases: files in the workdir, or on a server if the user says so."""

from __future__ import annotations

import os
import pathlib
import re
import subprocess
import sys
import uuid
from collections.abc import Mapping
from types import ModuleType
from typing import Any

from hasa_jax.simulation.tracking.package import tracker_package
from hasa_jax.simulation.tracking.store import Parameter

PROJECT = "hasa_jax"
_SECONDS = 30
"""Most that a server may take to answer, or to take what is left at the end of a run."""

_STEP = re.compile(r"^history: .*?^  step: +{\s+num: +(\d+)", re.DOTALL | re.MULTILINE)
"""The round of an evaluation in what wandb prints of a file."""


class WandbStore:
    """Writes runs offline, into `<folder>/offline-run-...`; `wandb sync` sends them later.

    With the variable `WANDB_MODE=online` they go to the server at once. `WANDB_PROJECT`,
    `WANDB_ENTITY` and the others of W&B are read, too. A run that goes on offline has a further
    folder with the same identity, which `wandb sync` adds to the same run.

    Raises:
      UserError: if wandb is missing.
    """

    def __init__(self) -> None:
        self._package = tracker_package(_wandb, "wandb", "wandb")

    def open(
        self,
        folder: pathlib.Path,
        name: str,
        parameters: Mapping[str, Parameter],
        identity: str | None,
    ) -> _WandbRun:
        """Opens a run; several are open at once where seeds share a program.

        The folder must be called `wandb`, as wandb calls it so.
        """
        folder.mkdir(parents=True, exist_ok=True)
        settings = self._package.Settings(
            # Nothing but a run's numbers is collected.
            symlink=False,
            console="off",
            silent=True,
            disable_git=True,
            save_code=False,
            x_disable_stats=True,
            x_disable_meta=True,
            init_timeout=_SECONDS,
            finish_timeout=_SECONDS,
        )
        mode = os.environ.get("WANDB_MODE") or "offline"
        run = self._package.init(
            dir=str(folder.parent),
            project=os.environ.get("WANDB_PROJECT") or PROJECT,
            group=os.environ.get("WANDB_RUN_GROUP") or folder.parent.name,
            mode=mode,
            id=identity or uuid.uuid4().hex[:12],
            name=name,
            config={**parameters},
            resume=None if identity is None else "allow",
            reinit="create_new",
            allow_val_change=True,
            settings=settings,
        )
        # The workdir holds no links, but wandb makes one to a log of its own, whatever is set.
        for path in pathlib.Path(run.dir).parent.rglob("*"):
            if path.is_symlink():
                path.unlink()
        if mode != "offline":
            # The next step of a run that the server has.
            return _WandbRun(run, int(run.step) - 1 if run.resumed else 0)
        return _WandbRun(run, 0 if identity is None else _last_offline(folder, identity))

    def close(self) -> None:
        """Ends the process that wandb has beside this one, unless a run of the user needs it."""
        if self._package.run is None:
            self._package.teardown()


class _WandbRun:
    """A run of W&B."""

    def __init__(self, run: Any, last: int | None) -> None:
        self._run, self.identity, self.last = run, str(run.id), last

    def log(self, round: int, numbers: Mapping[str, float]) -> None:
        """Adds a record to the history, complete, so that it is written at once."""
        self._run.log({**numbers}, step=round, commit=True)

    def close(self) -> None:
        """Waits until what was logged is written."""
        self._run.finish()


def _last_offline(folder: pathlib.Path, identity: str) -> int | None:
    """Reads the last round of a run from its files; None if wandb cannot read them.

    wandb writes in a process of its own, and what it has not written yet is lost if it is killed.
    """
    last = 0
    for path in folder.glob(f"offline-run-*-{identity}"):
        command = [sys.executable, "-m", "wandb", "leet", "inspect", str(path)]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS)
        except (OSError, subprocess.TimeoutExpired):
            return None
        last = max([last, *map(int, _STEP.findall(done.stdout))])
    return last


def _wandb() -> ModuleType:
    """Imports wandb, without its reports of errors unless the user wants them."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb  # The extra is optional, so only its user pays for it.

    return wandb
