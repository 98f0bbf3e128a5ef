"""Flags that the user gave but that nothing in the run would read: refused, not ignored."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from experiments.flags import FLAGS, SCORED
from experiments.study import build
from experiments.study.scores import named_score
from hasa_jax import DATASETS, UserError
from hasa_jax.datasets import dataset_builder
from hasa_jax.datasets.partition import PARTITIONS

_NEEDS = {
    "client_momentum": ("client_optimizer", {"sgd"}),
    "client_adam_eps": ("client_optimizer", {"adam"}),
    "norm": ("model", {"mlp", "cnn", "resnet18"}),
    "layers": ("model", {"lstm", "mlp", "transformer"}),
    "heads": ("model", {"transformer"}),
    "head_dim": ("model", {"transformer"}),
    "feedforward_dim": ("model", {"transformer"}),
    "rolling_step": ("extraction", {"rolling"}),
    "shared_units": ("extraction", {"random"}),
    "dropout_levels": ("extraction", {"ordered_dropout"}),
    "exit_widths": ("extraction", {"depth_width"}),
    "threshold": ("extraction", {"importance", "pruning_greedy"}),
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
    "trim": ("robust", {"trimmed_mean"}),
    "corruption": ("corrupted", {"a share above 0"}),
    "corruption_scale": ("corrupted", {"a share above 0"}),
}
"""What each flag needs: another flag, or choice of a method, and the values that read it."""

_USUAL_PARTITIONS = {"iid", "natural"}
"""What data are dealt out by if no partition is named."""


def refuse_unused(arms: Sequence[tuple[str, str]]) -> None:
    """Refuses flags that no arm reads.

    Args:
      arms: `(method, policy)` of everything that runs.

    Raises:
      UserError: naming the flag, and what would read it.
    """
    refuse_unread_data_flags()
    settings = [_settings(method, policy) for method, policy in arms]
    for name, (needed, values) in _NEEDS.items():
        if not any(setting[needed] in values for setting in settings):
            _refuse(name, needed, values)


def _refuse(name: str, needed: str, values: set[str]) -> None:
    """Refuses a flag if the user gave it."""
    if FLAGS[name].present:
        raise UserError(
            f"--{name} is read only with {needed} {' or '.join(sorted(values))}, which this run "
            "has not: leave it out"
        )


def refuse_unread_data_flags() -> None:
    """Refuses flags that the data set, or the partition that deals it out, does not read.

    Raises:
      UserError: naming the flag, and what would read it.
    """
    readers = _readers(DATASETS | {FLAGS.dataset: dataset_builder(FLAGS.dataset)}, skipped=1)
    own = {name for name, datasets in readers.items() if FLAGS.dataset in datasets}
    for name in sorted(readers.keys() - own):
        _refuse(name, "dataset", readers[name])
    if "partition" not in own:
        return
    chosen = {FLAGS.partition} if FLAGS.partition else _USUAL_PARTITIONS
    of_partitions = _readers(PARTITIONS, skipped=3)
    of_partitions["num_clients"] = set(PARTITIONS) - {"natural"}
    for name, partitions in of_partitions.items():
        if not chosen & partitions:
            _refuse(name, "partition", partitions)


def _readers(table: Mapping[str, Callable[..., Any]], skipped: int) -> dict[str, set[str]]:
    """Returns the entries of a table that take each argument, without the first ones of all."""
    found: dict[str, set[str]] = {}
    for entry, function in table.items():
        for name in list(inspect.signature(function).parameters)[skipped:]:
            found.setdefault(name, set()).add(entry)
    return found


def _settings(method: str, policy: str) -> Mapping[str, Any]:
    """Returns what one arm is made of."""
    built, scored = build.build_method(method), named_score(policy)[0] in SCORED
    return {
        **{name: FLAGS[name].value for name in ("client_optimizer", "model", "dataset")},
        "corrupted": "a share above 0" if FLAGS.corrupted else "none",
        "extraction": built.extraction,
        "objective": built.objective,
        "policy": named_score(policy)[0],
        "score": named_score(policy)[1] if scored else "none",
        "policy without @score": "none" if "@" in policy else policy,
        "robust": built.robust,
    }
