"""run.json: the configuration of a run, and what it ran on."""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import subprocess
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import jax

from experiments.analysis.stopped import Rule
from experiments.config import RunConfig, deciding, from_json, with_fields
from experiments.study.block import named_block
from experiments.study.by_client import recorded_numbers
from experiments.study.scores import identity_of
from hasa_jax.base import UserError
from hasa_jax.execution import processes
from hasa_jax.simulation.entries import check_entries
from hasa_jax.simulation.saved import RUN_FILE
from hasa_jax.versions import versions_of

NAME = RUN_FILE
"""Name of the file in a workdir."""

HASHED = ("availability_path", "capacities", "score_path", "widths")
"""Fields that may name a file, of which run.json has the SHA-256."""

_BASELINE = ("mean_accuracy", "worst_accuracy", "tail_accuracy")
"""What tables read of a baseline."""

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "orbax-checkpoint", "numpy", "scipy")


@dataclasses.dataclass(frozen=True)
class Manifest:
    """What describes a run.

    Attributes:
      script: name of the script.
      config: the fields that decide the results, as JSON, by room and name.
      data_sha256: hash of the data, by the name of the block.
      methods: parts of every method, by its name.
      execution: devices, backend and block, as they are on the machine.
      code: versions of packages, and the commit.
      began_with: other code that the run began with, oldest first.
      began_on: other devices that the run began on, as `execution` has them, oldest first.
      switches: switches of JAX that numbers depend on, where they are not JAX's own.
      data_notes: what readers of the data left out, joined or guessed, by block.
      baseline: what predictions of the most frequent training target reach, by block.
      by_client: capacities and widths that the user gave, by field and client.
      model: units of the supernet; of a run of the library also classes, tokens, the shape of an
        example, and a hash of the clients' names.
      settings: what the user of the library stated of a run.
      scores: of clients, by arm (`method:policy`), block and client; of arms whose policy follows
        them, unless clients are too many (`run_json.scores_of`).
      stopping: the rule that decides the number of seeds, and what it says of them; as `Rule` has
        it, empty if there is none.
      files: names of the files of which `config` has the SHA-256, by field, without their folders.
      tables: SHA-256 of the finished tables, by their names.
      trackers: by their names, evaluations that they missed, and why; and how many runs began
        beside earlier ones.
    """

    script: str
    config: Mapping[str, Mapping[str, Any]]
    data_sha256: Mapping[str, str]
    methods: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    execution: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    code: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    began_with: tuple[Mapping[str, Any], ...] = ()
    began_on: tuple[Mapping[str, Any], ...] = ()
    switches: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    data_notes: Mapping[str, Sequence[str]] = dataclasses.field(default_factory=dict)
    baseline: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    by_client: Mapping[str, Mapping[str, float]] = dataclasses.field(default_factory=dict)
    model: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    scores: Mapping[str, Mapping[str, Mapping[str, float]]] = dataclasses.field(
        default_factory=dict
    )
    stopping: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    files: Mapping[str, str] = dataclasses.field(default_factory=dict)
    tables: Mapping[str, str] = dataclasses.field(default_factory=dict)
    trackers: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)

    @functools.cached_property
    def run(self) -> RunConfig:
        """The configuration; fields that decide nothing have their defaults."""
        return from_json(self.config)

    @property
    def rule(self) -> Rule | None:
        """The rule that decides the number of seeds, if there is one."""
        return Rule(**self.stopping) if self.stopping else None


def recorded(config: RunConfig) -> dict[str, dict[str, Any]]:
    """Returns what run.json holds of a configuration: the fields that results depend on.

    Args:
      config: the configuration.

    Returns:
      JSON by room and name; a file of scores, widths or traces is recorded by its SHA-256, because
      another file makes another run, and the same file in another place does not.
    """
    chosen = config.allocation
    same = {
        "availability_path": identity_of(config.training.availability_path),
        "score_path": identity_of(chosen.score_path),
        "capacities": recorded_numbers(chosen.capacities),
        "widths": recorded_numbers(chosen.widths),
    }
    return deciding(with_fields(config, same))


def files_of(config: RunConfig) -> dict[str, str]:
    """Returns the names of the files that `recorded` has the SHA-256 of.

    Args:
      config: the configuration, with paths.

    Returns:
      By field, the name without its folder, which may be private.
    """
    given, found = deciding(config), recorded(config)
    return {
        field: pathlib.PurePath(value if isinstance(value, str) else value[0]).name
        for room, own in given.items()
        for field, value in own.items()
        if found[room][field] != value
    }


def joined(
    scores: Mapping[str, Mapping[str, Mapping[str, float]]],
    others: Mapping[str, Mapping[str, Mapping[str, float]]],
) -> dict[str, dict[str, Mapping[str, float]]]:
    """Joins the scores of clients of several blocks.

    Args:
      scores: by arm, block and client.
      others: those of further blocks.

    Returns:
      All of them.
    """
    arms = dict.fromkeys([*scores, *others])
    return {arm: {**scores.get(arm, {}), **others.get(arm, {})} for arm in arms}


def replaced(
    found: Mapping[str, Any], own: Mapping[str, Any], blocks: Collection[str]
) -> dict[str, Any]:
    """Replaces what is known of some blocks, of which nothing may be known now.

    Args:
      found: what is known, by block.
      own: what is known of the blocks now.
      blocks: their names.

    Returns:
      What is known of all blocks, in the order of `found`.
    """
    both = {**found, **own}
    return {name: value for name, value in both.items() if name in own or name not in blocks}


def refuse_other_data(
    folder: pathlib.Path, found: Mapping[str, str], now: Mapping[str, str]
) -> None:
    """Refuses a workdir with results of other data.

    Args:
      folder: the workdir.
      found: SHA-256 of the data of its blocks, by their names.
      now: that of the data now.

    Raises:
      UserError: naming the first block with other data.
    """
    for name, digest in now.items():
        if found.get(name, digest) != digest:
            raise UserError(
                f"workdir {folder} holds metrics of other data ({named_block(name)}, by its hash "
                f"in {NAME}): name another with `workdir`"
            )


def code_here() -> dict[str, Any]:
    """Returns the versions of all packages and the commit of the code that runs."""
    return {"versions": versions_of(_PACKAGES), "git_commit": _git_commit()}


def read_manifest(folder: pathlib.Path, name: str = NAME) -> Manifest:
    """Reads run.json, or another file of its form.

    Args:
      folder: the workdir.
      name: of the file.

    Returns:
      The manifest.

    Raises:
      UserError: if it is missing or damaged, or the workdir leads out of itself.
    """
    path = folder / name
    check_entries(folder, "workdir")
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        manifest = Manifest(
            script=found["script"],
            config=found["config"],
            data_sha256=found["data_sha256"],
            methods=found.get("methods", {}),
            execution=found.get("execution", {}),
            code={name: found.get(name) for name in ("versions", "git_commit")},
            began_with=tuple(found.get("began_with", ())),
            began_on=tuple(found.get("began_on", ())),
            switches=found.get("switches", {}),
            data_notes=found.get("data_notes", {}),
            baseline=found.get("baseline", {}),
            by_client=found.get("by_client", {}),
            model=found.get("model", {}),
            settings=found.get("settings", {}),
            scores=found.get("scores", {}),
            stopping=found.get("stopping", {}),
            files=found.get("files", {}),
            tables=found.get("tables", {}),
        )
        texts = (manifest.script, *manifest.files.values())
        trees = (
            *(manifest.config, manifest.data_sha256, manifest.methods, manifest.execution),
            *(manifest.switches, manifest.baseline, manifest.by_client, manifest.model),
            *(manifest.settings, manifest.stopping, *manifest.methods.values()),
            *(manifest.files, manifest.tables, manifest.scores, *manifest.scores.values()),
        )
        if not all(isinstance(text, str) for text in texts):
            raise TypeError
        if not all(isinstance(tree, dict) for tree in (*trees, *manifest.config.values())):
            raise TypeError
        _check_numbers(manifest)
        from_json(manifest.config)
        _ = manifest.rule
    except FileNotFoundError:
        raise UserError(f"{path} does not exist: name a workdir of train or compare") from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise UserError(
            f"{path} is damaged: move it away or name another folder with `workdir`"
        ) from None
    return manifest


def _check_numbers(manifest: Manifest) -> None:
    """Raises unless scores and baselines are numbers, and the baselines have their accuracies."""
    scores = [own for of_arm in manifest.scores.values() for own in of_arm.values()]
    for own in (*manifest.baseline.values(), *scores):
        if not all(isinstance(value, int | float) for value in own.values()):
            raise TypeError
    if not all(name in own for own in manifest.baseline.values() for name in _BASELINE):
        raise KeyError


def write_manifest(folder: pathlib.Path, manifest: Manifest, name: str = NAME) -> None:
    """Writes run.json, and what the machine is; of several processes, the first one does.

    Args:
      folder: the workdir.
      manifest: what describes the run.
      name: of the file, if it is another one of the same form.
    """
    content = {
        "script": manifest.script,
        "config": manifest.config,
        "methods": manifest.methods,
        "execution": manifest.execution,
        "switches": manifest.switches,
        **manifest.code,
        "began_with": list(manifest.began_with),
        "began_on": list(manifest.began_on),
        "device": [f"{d.platform}: {d.device_kind}" for d in jax.devices()],
        "cpu_count": os.cpu_count(),
        "data_sha256": manifest.data_sha256,
        "data_notes": manifest.data_notes,
        "baseline": manifest.baseline,
        "by_client": manifest.by_client,
        "model": manifest.model,
        "scores": manifest.scores,
        **({"stopping": manifest.stopping} if manifest.stopping else {}),
        **({"files": manifest.files} if manifest.files else {}),
        **({"tables": manifest.tables} if manifest.tables else {}),
        **({"trackers": manifest.trackers} if manifest.trackers else {}),
    }

    def write() -> None:
        temporary = folder / f"{name}.new"
        temporary.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
        temporary.replace(folder / name)

    processes.from_first(write)


def _git_commit() -> str:
    """Returns the commit of the code that runs, marked if files differ from it."""
    here = pathlib.Path(__file__).parent
    try:
        commit = subprocess.run(
            ["git", "rev-parse", "HEAD"], cwd=here, capture_output=True, text=True, check=True
        ).stdout.strip()
        changed = subprocess.run(
            ["git", "status", "--porcelain", "--untracked-files=no"],
            cwd=here,
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return commit + ("+changes" if changed else "")
