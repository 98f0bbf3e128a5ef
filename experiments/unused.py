"""Flags that the user gave but that nothing in the run would read: refused, not ignored."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from experiments import build
from experiments.flags import FLAGS
from hasa_jax import DATASETS, UserError

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
    "dynamic": ("policy", {"levels", "random"}),
    "data_path": ("dataset", {"npz", "titles"}),
    "trim": ("robust", {"trimmed_mean"}),
    "corruption": ("corrupted", {"a share above 0"}),
    "corruption_scale": ("corrupted", {"a share above 0"}),
}
"""What each flag needs: another flag, or choice of a method, and the values that read it."""


def refuse_unused(arms: Sequence[tuple[str, str]]) -> None:
    """Refuses flags that no arm reads.

    Args:
      arms: `(method, policy)` of everything that runs.

    Raises:
      UserError: naming the flag, and what would read it.
    """
    settings = [_settings(method, policy) for method, policy in arms]
    for name, (needed, values) in _NEEDS.items():
        if FLAGS[name].present and not any(setting[needed] in values for setting in settings):
            raise UserError(
                f"--{name} is read only with {needed} {' or '.join(sorted(values))}, which this "
                "run has not: leave it out"
            )


def refuse_unread_data_flags() -> None:
    """Refuses flags of data sets that the flagged data set does not read.

    Raises:
      UserError: naming the flag, and the data sets that would read it.
    """
    readers: dict[str, list[str]] = {}
    for name, builder in DATASETS.items():
        for flag in inspect.signature(builder).parameters:
            readers.setdefault(flag, []).append(name)
    for flag in sorted(set(readers) - {"key"}):
        if FLAGS[flag].present and FLAGS.dataset not in readers[flag]:
            raise UserError(
                f"--{flag} is read only with dataset {' or '.join(sorted(readers[flag]))}: leave "
                "it out"
            )


def _settings(method: str, policy: str) -> Mapping[str, Any]:
    """Returns what one arm is made of."""
    built = build.build_method(method)
    return {
        **{name: FLAGS[name].value for name in ("client_optimizer", "model", "dataset")},
        "corrupted": "a share above 0" if FLAGS.corrupted else "none",
        "extraction": built.extraction,
        "objective": built.objective,
        "policy": policy,
        "robust": built.robust,
    }
