"""Fields that the user gave but that nothing in the run reads: refused, not ignored."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence, Set
from typing import Any

from experiments.config import ROOM_OF, RunConfig
from experiments.rooms import SCORED, DataConfig, named_score
from experiments.study.arm import Arm
from experiments.study.method import parts_of
from experiments.study.own_methods import refuse_idle
from hasa_jax.base import UserError
from hasa_jax.datasets import DATASETS, dataset_builder
from hasa_jax.datasets.partition import PARTITIONS

_NEEDS = {
    "client_momentum": ("client_optimizer", {"sgd"}),
    "client_adam_eps": ("client_optimizer", {"adam"}),
    "rolling_step": ("extraction", {"rolling"}),
    "shared_units": ("extraction", {"random"}),
    "dropout_levels": ("extraction", {"ordered_dropout"}),
    "exit_widths": ("extraction", {"depth_width"}),
    "threshold": ("extraction", {"importance", "pruning_greedy"}),
    "importance_gradient": ("extraction with measure magnitude", {"importance"}),
    "measure": ("extraction", {"importance", "neuron_importance"}),
    "distillation": ("objective", {"multi_exit"}),
    "temperature": ("objective", {"multi_exit"}),
    "detach_teacher": ("objective", {"multi_exit"}),
    "widths": ("policy", {"fixed"}),
    "levels": ("policy", {"levels"}),
    "level_proportions": ("policy", {"levels"}),
    "score_path": ("score", {"file"}),
    "score": ("policy without @score", set(SCORED)),
    "dynamic": ("policy", {"levels", "random"}),
    "reallocate_every": ("policy", {"need"}),
    "need_objective": ("policy", {"need"}),
    "candidates": ("sampling", {"power_of_choice"}),
    "availability_path": ("sampling", {"availability"}),
    "trim": ("robust", {"trimmed_mean"}),
    "corruption": ("corrupted", {"a share above 0"}),
    "corruption_scale": ("corrupted", {"a share above 0"}),
}
"""What each field needs: another field, or a part of a method, and the values that read it."""

_OF_MODELS = {
    "norm": {"mlp", "cnn", "resnet18"},
    "layers": {"lstm", "mlp", "transformer"},
    "heads": {"transformer"},
    "head_dim": {"transformer"},
    "feedforward_dim": {"transformer"},
    "dropout": {"lstm", "transformer"},
    "exits_after": {"cnn", "resnet18", "transformer"},
    "exit_head": {"cnn", "resnet18"},
}
"""Supernets that read each field."""

_USUAL_PARTITIONS = {"iid", "natural"}
"""What data are dealt out by if no partition is named."""


def refuse_unused(config: RunConfig, given: Set[str], arms: Sequence[Arm]) -> None:
    """Refuses fields that no arm reads.

    Args:
      config: the configuration.
      given: fields that the user gave.
      arms: everything that runs.

    Raises:
      UserError: naming the field, and what reads it.
    """
    if of_sweep := sorted(name for name in given if ROOM_OF.get(name) == "sweep"):
        script = "benchmark" if of_sweep[0] == "suite" else "sweep"
        raise UserError(f"`{of_sweep[0]}` is for {script}: leave it out")
    if of_advice := sorted(name for name in given if ROOM_OF.get(name) == "advice"):
        raise UserError(f"`{of_advice[0]}` is for advise: leave it out")
    refuse_idle(config.method.own_method, [arm.method for arm in arms])
    refuse_unused_of_data(config.data, given)
    idle = unread(config, arms)
    for name, needs in _NEEDS.items():
        if name in idle:
            _refuse(name, given, *needs)


def unread(config: RunConfig, arms: Sequence[Arm]) -> frozenset[str]:
    """Returns the fields that only some methods or policies read, and none of these arms.

    Args:
      config: the configuration.
      arms: some arms.

    Returns:
      The names of the fields.
    """
    settings = [_settings(config, arm) for arm in arms]
    return frozenset(
        name
        for name, (needed, values) in _NEEDS.items()
        if not any(setting[needed] in values for setting in settings)
    )


def refuse_unused_of_model(model: str, given: Set[str]) -> None:
    """Refuses fields that the supernet does not read.

    Args:
      model: name of the supernet, which the data may have decided.
      given: fields that the user gave.

    Raises:
      UserError: naming the field, and what reads it.
    """
    for name, models in _OF_MODELS.items():
        if model not in models:
            _refuse(name, given, "model", models)


def refuse_unused_of_data(config: DataConfig, given: Set[str]) -> None:
    """Refuses fields that the data set, or the partition that deals it out, does not read.

    Args:
      config: the configuration of the data.
      given: fields that the user gave.

    Raises:
      UserError: naming the field, and what reads it.
    """
    dataset = config.dataset
    readers = _readers(DATASETS | {dataset: dataset_builder(dataset)}, skipped=1)
    own = {name for name, datasets in readers.items() if dataset in datasets}
    for name in sorted(readers.keys() - own):
        _refuse(name, given, "dataset", readers[name])
    if "partition" not in own:
        return
    chosen = {config.partition} if config.partition else _USUAL_PARTITIONS
    of_partitions = _readers(PARTITIONS, skipped=3)
    of_partitions["num_clients"] = set(PARTITIONS) - {"natural"}
    for name, partitions in of_partitions.items():
        if not chosen & partitions:
            _refuse(name, given, "partition", partitions)


def _refuse(name: str, given: Set[str], needed: str, values: Set[str]) -> None:
    """Refuses a field if the user gave it."""
    if name in given:
        raise UserError(
            f"`{name}` is read only with {needed} {' or '.join(sorted(values))}, which this run "
            "does not have: leave it out"
        )


def _readers(table: Mapping[str, Callable[..., Any]], skipped: int) -> dict[str, set[str]]:
    """Returns the entries of a table that take each argument, without the first ones of all."""
    found: dict[str, set[str]] = {}
    for entry, function in table.items():
        for name in list(inspect.signature(function).parameters)[skipped:]:
            found.setdefault(name, set()).add(entry)
    return found


def _settings(config: RunConfig, arm: Arm) -> Mapping[str, str]:
    """Returns what one arm is made of, by what `_NEEDS` asks for."""
    parts = parts_of(config, arm.method)
    policy, score = named_score(arm.policy, config.allocation.score)
    return {
        "client_optimizer": config.training.client_optimizer,
        "sampling": config.training.sampling,
        "corrupted": "a share above 0" if config.faults.corrupted else "none",
        "extraction": parts.extraction,
        "extraction with measure magnitude": (
            parts.extraction if config.method.measure == "magnitude" else "none"
        ),
        "objective": parts.objective,
        "policy": policy,
        "score": score if policy in SCORED else "none",
        "policy without @score": "none" if "@" in arm.policy else policy,
        "robust": parts.robust,
    }
