"""The files of a run of the library: the same tables as those of the scripts."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import pathlib
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.base import UserError
from hasa_jax.datasets.fingerprint import fingerprint
from hasa_jax.datasets.paths import path_of, shown
from hasa_jax.methods.method import Method
from hasa_jax.simulation.baseline import baseline
from hasa_jax.simulation.entries import check_files
from hasa_jax.simulation.evaluation import chosen_clients
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.writers import TABLES, CsvWriter

RUN_FILE = "run.json"
"""Name of the file that describes a run."""

LIBRARY = "simulate"
"""What `RUN_FILE` calls the script of a run of the library."""

_PACKAGES = ("hasa_jax", "jax", "jaxlib", "flax", "optax", "numpy")

_PARTS = ("norm", "scaler", "label_split", "aggregation", "client_weights", "robust")


def save_run(
    folder: str | os.PathLike[str],
    program: Program,
    trial: Trial,
    records: Mapping[str, Sequence[Mapping[str, Any]]],
    num_rounds: int,
    reporting: Reporting,
) -> pathlib.Path:
    """Writes the records of a run as CSV files, and what is known of it as `RUN_FILE`.

    Args:
      folder: where they go; made if it is not there.
      program: what was run.
      trial: data, sizes and key of the run.
      records: by table, one of `TABLES`; a table without records gets no file.
      num_rounds: rounds of the run.
      reporting: what was evaluated.

    Returns:
      The folder.

    Raises:
      UserError: if the folder holds results already, or links in their place, or cannot be written.
    """
    path = path_of(folder)
    names = (RUN_FILE, *(f"{table}.csv" for table in TABLES))
    temporary = path / f"{RUN_FILE}.new"
    check_files(path, (*names, *(f"{table}.csv.partial" for table in TABLES)), "folder")
    check_files(path, (temporary.name,), "folder")
    if there := [name for name in names if (path / name).exists()]:
        raise UserError(f"{shown(path)} has a {there[0]} already: name another `folder`")
    front = labels_of(program, trial)
    files = CsvWriter(path)
    try:
        path.mkdir(parents=True, exist_ok=True)
        for table in TABLES:
            files.write(table, [{**front, **record} for record in records[table]])
        files.publish()
        content = json.dumps(_description(program, trial, num_rounds, reporting), indent=2)
        temporary.write_text(content + "\n", encoding="utf-8")
        temporary.replace(path / RUN_FILE)
    except OSError as error:
        raise UserError(
            f"{shown(path)} cannot be written ({error.strerror}): name another `folder`"
        ) from None
    finally:
        files.close()
    return path


def labels_of(program: Program, trial: Trial) -> dict[str, str | int]:
    """Returns the columns that set runs apart.

    Args:
      program: what was run.
      trial: its key.

    Returns:
      Names of the method and its parts, and the key as an integer: 7 for `jax.random.key(7)`.
    """
    method = program.method
    return {
        "method": method.name,
        "policy": method.policy.name,
        "extraction": method.extraction.name,
        "aggregation": method.aggregation,
        "seed": _number_of(trial.key),
    }


def _number_of(key: jax.Array) -> int:
    """Returns the words of a key as one integer."""
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    words = np.asarray(jax.random.key_data(key) if typed else key).ravel().tolist()
    return int("".join(f"{word:08x}" for word in words), 16)


def _description(
    program: Program, trial: Trial, num_rounds: int, reporting: Reporting
) -> dict[str, Any]:
    """Returns what is known of a run, by the names that the scripts use for it."""
    method, training, ledger = program.method, program.training, trial.allocation.ledger
    seed, evaluated = str(_number_of(trial.key)), chosen_clients(trial, reporting.eval_clients)
    budget: dict[str, Any] = {"budget_unit": ledger.unit}
    if math.isfinite(ledger.requested):
        budget["budget"] = ledger.requested
    return {
        "script": LIBRARY,
        "config": {
            "allocation": budget,
            "training": {
                "num_rounds": num_rounds,
                "local_epochs": training.local_epochs,
                "batch_size": training.batch_size,
                "clients_per_round": training.clients_per_round,
            },
            "reporting": {
                "tail_fraction": reporting.tail_fraction,
                "eval_clients": reporting.eval_clients,
                "scored_draw": reporting.draw,
            },
        },
        "methods": {method.name: _parts(method)},
        "model": {"groups": dict(program.model.groups)},
        "execution": {
            "backend": jax.default_backend(),
            "devices": program.execution.devices,
            "client_block": program.lanes or "all",
            "modes": {f"{method.name}:{method.policy.name}": program.execution.mode},
        },
        "versions": {"python": platform.python_version(), **_versions()},
        "data_sha256": {seed: fingerprint(trial.dataset)},
        "data_notes": {seed: list(trial.dataset.notes)} if trial.dataset.notes else {},
        "baseline": {seed: baseline(trial.dataset, reporting.tail_fraction, evaluated)},
    }


def _parts(method: Method) -> dict[str, Any]:
    """Returns what a method is made of, by names."""
    named = {part: getattr(method, part).name for part in ("policy", "extraction", "objective")}
    others = {part: getattr(method, part) for part in _PARTS}
    projection = {"budget_projection": method.budget.projection}
    return {"summary": method.summary, **named, **others, **projection}


def _versions() -> dict[str, str]:
    """Returns the versions of the installed packages that numbers depend on."""
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found
