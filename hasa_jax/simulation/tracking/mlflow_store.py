"""Runs of MLflow: in a SQLite file of the workdir, or on a server if the user says so."""

from __future__ import annotations

import logging
import os
import pathlib
import time
import warnings
from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

from hasa_jax.base import UserError
from hasa_jax.simulation.tracking.package import tracker_package
from hasa_jax.simulation.tracking.store import Parameter

EXPERIMENT = "hasa_jax"
FILE = "mlflow.db"
_USUAL = {
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2",
    "MLFLOW_HTTP_REQUEST_TIMEOUT": "30",
}
"""Variables of MLflow, unless the user sets them: a server that is away must not hold a run up."""

_MOST_PARAMETERS = 100
"""Of one request."""

_READ_BACK = "seconds/train"
"""Every evaluation has it, so its last step is the last round."""


class MlflowStore:
    """Writes runs into `<folder>/mlflow.db`, which MLflow's own viewer shows.

    With the variable `MLFLOW_TRACKING_URI` they go there, and with `MLFLOW_EXPERIMENT_NAME` into
    that experiment. MLflow reports nothing on its use, unless `MLFLOW_DISABLE_TELEMETRY` is set to
    `false`. Parameters are those of the command that began a run, since MLflow changes
    none.

    Raises:
      UserError: if mlflow-skinny, or what it needs for SQLite, is missing.
    """

    def __init__(self) -> None:
        self._package = tracker_package(_mlflow, "mlflow", "mlflow")
        self._connected: tuple[Any, str] | None = None

    def open(
        self,
        folder: pathlib.Path,
        name: str,
        parameters: Mapping[str, Parameter],
        identity: str | None,
    ) -> _MlflowRun:
        """Opens a run; the first one makes the file, which takes some seconds."""
        with warnings.catch_warnings():
            # Those of its own packages are no business of this run.
            warnings.simplefilter("ignore")
            self._connected = self._connected or _connect(self._package, folder.absolute())
            client, experiment = self._connected
            if identity is not None:
                found = client.get_metric_history(identity, _READ_BACK)
                last = max((entry.step for entry in found), default=0)
                return _MlflowRun(self._package, client, identity, last)
            tags = {"workdir": folder.parent.name}
            run = client.create_run(experiment, run_name=name, tags=tags)
            opened = _MlflowRun(self._package, client, run.info.run_id, 0)
            opened.describe(parameters)
        return opened

    def close(self) -> None:
        """Holds nothing."""


class _MlflowRun:
    """A run of MLflow."""

    def __init__(self, package: ModuleType, client: Any, identity: str, last: int) -> None:
        self._package, self._client = package, client
        self.identity, self.last = identity, last

    def describe(self, parameters: Mapping[str, Parameter]) -> None:
        """Adds the configuration."""
        param = self._package.entities.Param
        entries = [param(name, str(value)) for name, value in parameters.items()]
        for part in _parts(entries, _MOST_PARAMETERS):
            self._client.log_batch(self.identity, params=part)

    def log(self, round: int, numbers: Mapping[str, float]) -> None:
        """Adds all numbers at once, in one transaction."""
        metric, now = self._package.entities.Metric, int(1000 * time.time())
        entries = [metric(name, value, now, round) for name, value in numbers.items()]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._client.log_batch(self.identity, metrics=entries)

    def close(self) -> None:
        """Marks the run as finished; one that goes on is so at its end, again."""
        self._client.set_terminated(self.identity)


def _parts(entries: Sequence[Any], most: int) -> list[Sequence[Any]]:
    """Cuts a list into parts of at most so many entries."""
    return [entries[start : start + most] for start in range(0, len(entries), most)]


def _mlflow() -> ModuleType:
    """Imports what is used of mlflow, and what it needs for SQLite."""
    for name, value in _USUAL.items():
        os.environ.setdefault(name, value)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import alembic  # The extra is optional, so only its user pays for it.
        import mlflow.entities
        import mlflow.tracking
        import sqlalchemy

        del alembic, sqlalchemy
    return mlflow


def _connect(package: ModuleType, folder: pathlib.Path) -> tuple[Any, str]:
    """Opens the file or the server, and the experiment, which it returns by its identity."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("mlflow", "alembic"):  # They report every table that they make.
        logging.getLogger(name).setLevel(logging.ERROR)
    own = f"sqlite:///{folder / FILE}"
    where = os.environ.get("MLFLOW_TRACKING_URI")
    # What follows these letters would be read as another part of the address.
    if not where and {"?", "#"} & set(own):
        raise UserError(f"MLflow has no address for {folder}: take a folder without ? and #")
    client = package.MlflowClient(tracking_uri=where or own, registry_uri=where or own)
    name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or EXPERIMENT
    found = client.get_experiment_by_name(name)
    place = None if where else (folder / "artifacts").as_uri()
    return client, found.experiment_id if found else client.create_experiment(name, place)
