"""Flags that the user gave but that nothing in the run would read: refused, not ignored."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from experiments import build
from experiments.flags import FLAGS
from experiments.scores import named_score
from hasa_jax import UserError

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


def _settings(method: str, policy: str) -> Mapping[str, Any]:
    """Returns what one arm is made of."""
    built = build.build_method(method)
    return {
        **{name: FLAGS[name].value for name in ("client_optimizer", "model", "dataset")},
        "corrupted": "a share above 0" if FLAGS.corrupted else "none",
        "extraction": built.extraction,
        "objective": built.objective,
        "policy": named_score(policy)[0],
        "score": named_score(policy)[1],
        "robust": built.robust,
    }
