"""What run.json holds of a run of the library, by the names that the scripts use."""

from __future__ import annotations

import functools
import hashlib
import math
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.scores import SCORES
from hasa_jax.allocation.scores.score import NUMBER_BYTES
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.client.augmentation import Augmentation
from hasa_jax.datasets.fingerprint import fingerprint
from hasa_jax.methods.method import Method
from hasa_jax.simulation.baseline import baseline
from hasa_jax.simulation.described import described
from hasa_jax.simulation.options import Reporting
from hasa_jax.simulation.program import Program
from hasa_jax.simulation.trial import Trial
from hasa_jax.simulation.views import chosen_clients
from hasa_jax.supernet.types import Model
from hasa_jax.versions import versions_of

LIBRARY = "simulate"
"""What run.json calls the script of a run of the library."""

MOST_SCORED = 10_000
"""Clients up to which run.json has their scores."""

GIVEN = "file"
"""What run.json calls a score whose values the user gave."""

_PACKAGES = ("jax", "jaxlib", "flax", "optax", "numpy")

_PARTS = ("norm", "scaler", "label_split", "aggregation", "client_weights", "robust")


class Named(NamedTuple):
    """What tables call a run beside its method and policy.

    Attributes:
      seed: the seed; usually the key as an integer, 7 for `jax.random.key(7)`.
      fold: which of the folds of the seed, from 1 on; 0 where there are none.
    """

    seed: int
    fold: int = 0

    @property
    def block(self) -> str:
        """Its name in run.json: `3`, or `3.1` for a fold."""
        return f"{self.seed}.{self.fold}" if self.fold else str(self.seed)


def named(trial: Trial, seed: int | None, fold: int) -> Named:
    """Names a run.

    Args:
      trial: its key.
      seed: the seed; the key as an integer if None.
      fold: the fold; 0 for none.

    Returns:
      The seed and the fold.

    Raises:
      UserError: if one of them is negative or no integer.
    """
    for name, value in {"seed": 0 if seed is None else seed, "fold": fold}.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise UserError(f"`{name}` is {value!r}: give an integer of 0 or more")
    return Named(_number_of(trial.key) if seed is None else seed, fold)


def labels_of(program: Program, run: Named) -> dict[str, str | int]:
    """Returns the columns that set runs apart.

    Args:
      program: what was run.
      run: its seed and fold.

    Returns:
      Names of the method and its parts, the seed and the fold.
    """
    method = program.method
    return {
        "method": method.name,
        "policy": method.policy.name,
        "extraction": method.extraction.name,
        "aggregation": method.aggregation,
        "seed": run.seed,
        "fold": run.fold,
    }


def scores_of(policy: Policy, trial: Trial) -> dict[str, float]:
    """Returns the scores of the clients, if the policy follows them.

    Args:
      policy: the policy.
      trial: the clients, and what the policy looked at.

    Returns:
      By client; nothing for a policy that follows none, or above `MOST_SCORED` clients.
    """
    scores, names = trial.allocation.stats.scores, trial.dataset.client_names
    if not policy.scored or len(names) > MOST_SCORED:
        return {}
    return dict(zip(names, np.asarray(scores, float).tolist(), strict=True))


def _number_of(key: jax.Array) -> int:
    """Returns the words of a key as one integer."""
    typed = jnp.issubdtype(key.dtype, jax.dtypes.prng_key)
    words = np.asarray(jax.random.key_data(key) if typed else key).ravel().tolist()
    return int("".join(f"{word:08x}" for word in words), 16)


def description(
    program: Program,
    trial: Trial,
    run: Named,
    num_rounds: int,
    reporting: Reporting,
    settings: Mapping[str, Any],
) -> dict[str, Any]:
    """Returns what is known of a run.

    Args:
      program: what was run.
      trial: data and sizes of the run.
      run: its seed and fold.
      num_rounds: rounds of the run.
      reporting: what was evaluated.
      settings: what the run cannot know of itself, such as `{"client_optimizer": "sgd",
        "client_lr": 0.1}`: texts, finite numbers, booleans, None, or lists of them.

    Returns:
      The content of run.json.

    Raises:
      UserError: for `settings` that JSON cannot hold, or that the run knows.
    """
    method, block = program.method, run.block
    arm, scores = f"{method.name}:{method.policy.name}", scores_of(method.policy, trial)
    config = {
        "allocation": _allocation(method, trial),
        "method": {name: getattr(method, name) for name in ("trim", "proximal", "supernet_width")},
        "training": {"num_rounds": num_rounds, **_training(program)},
        "faults": _faults(program),
        "reporting": {
            "tail_fraction": reporting.tail_fraction,
            "eval_clients": reporting.eval_clients,
            "scored_draw": reporting.draw,
        },
    }
    parts = _parts(program, trial)
    _check_settings(settings, {*parts, *(name for room in config.values() for name in room)})
    evaluated = chosen_clients(trial, reporting.eval_clients)
    own = trial.allocation.reallocation
    idle = "" if own is None else own.idle(num_rounds)
    notes = [*trial.dataset.notes, *([f"{method.policy.name} {idle}"] if idle else [])]
    return {
        "script": LIBRARY,
        "config": config,
        "settings": dict(settings),
        "methods": {method.name: parts},
        "model": _model(program.model, trial.dataset),
        "execution": {
            "backend": jax.default_backend(),
            "mesh": str(program.mesh(1)),
            "client_block": program.lanes or "all",
            "modes": {arm: program.execution.mode},
        },
        "versions": versions_of(_PACKAGES),
        "data_sha256": {block: fingerprint(trial.source)},
        "data_notes": {block: notes} if notes else {},
        "baseline": {block: baseline(trial.source, reporting.tail_fraction, evaluated)},
        "scores": {arm: {block: scores}} if scores else {},
    }


def _allocation(method: Method, trial: Trial) -> dict[str, Any]:
    """Returns the budget; a policy that follows none has no bounds either."""
    ledger, budget = trial.allocation.ledger, method.budget
    found: dict[str, Any] = {"budget_unit": ledger.unit}
    if method.policy.budgeted:
        found |= {"w_min": budget.w_min, "w_max": budget.w_max}
    if math.isfinite(ledger.requested):
        found["budget"] = ledger.requested
    return found | _levels(method.policy)


def _levels(policy: Policy) -> dict[str, Any]:
    """Returns the levels of policy levels, which it holds as the first argument of its widths."""
    widths = policy.widths
    if not (policy.levels and isinstance(widths, functools.partial) and widths.args):
        return {}
    return {"levels": np.ravel(widths.args[0]).tolist(), "dynamic": policy.dynamic}


def _training(program: Program) -> dict[str, Any]:
    """Returns how clients train, but for the optimizers."""
    names = (
        *("local_epochs", "batch_size", "clients_per_round", "sampling", "candidates"),
        "drop_nonfinite",
    )
    augment = program.training.augment
    changes = [described(augment)] if augment is not None else []
    if isinstance(augment, Augmentation):
        changes = list(augment.names)
    return {name: getattr(program.training, name) for name in names} | {"augment": changes}


def _faults(program: Program) -> dict[str, Any]:
    """Returns what goes wrong."""
    faults = program.training.faults
    return {
        "client_dropout": faults.dropout,
        "deadline": faults.deadline,
        "corrupted": faults.corrupted,
        "corruption": faults.corruption,
        "corruption_scale": faults.scale,
    }


def _parts(program: Program, trial: Trial) -> dict[str, Any]:
    """Returns what a method is made of: names, and the functions behind them with all options."""
    method = program.method
    named = {part: getattr(method, part).name for part in ("policy", "extraction", "objective")}
    others = {part: getattr(method, part) for part in _PARTS}
    budgeted = {"projection": method.budget.projection} if method.policy.budgeted else {}
    capacities = method.budget.capacities
    return {
        "summary": method.summary,
        **named,
        **others,
        **budgeted,
        **({"score": _score(method, trial)} if method.policy.scored else {}),
        "policy_options": described(method.policy),
        "capacities_of_clients": described(None if capacities is None else np.array(capacities)),
        "extraction_options": described(method.extraction),
        "objective_options": described(method.objective),
        "client_update": described(program.rule.optimizer.update),
        "server_update": described(program.server_optimizer.update),
        "learning_rate_factor": described(program.schedule),
    }


def _score(method: Method, trial: Trial) -> str:
    """Returns the name of a score with its usual options, or what it is made of."""
    if method.score is None or trial.allocation.ledger.bytes_once == NUMBER_BYTES:
        return GIVEN
    own = described(method.score)
    return next((name for name, make in SCORES.items() if described(make()) == own), own)


def _model(model: Model, dataset: FederatedDataset) -> dict[str, Any]:
    """Returns the units of the supernet, and what it was made for."""
    names = repr(dataset.client_names).encode("utf-8", "backslashreplace")
    return {
        "groups": dict(model.groups),
        "classes": dataset.train.num_classes,
        "tokens": dataset.num_tokens,
        "input_shape": list(model.input_shape),
        "clients_sha256": hashlib.sha256(names).hexdigest(),
    }


def _check_settings(settings: Mapping[str, Any], known: set[str]) -> None:
    """Refuses settings that JSON cannot hold, or that the run knows."""
    for name, value in settings.items():
        if not isinstance(name, str) or name in known:
            why = "a name that is no text" if name not in known else "what the run records itself"
            raise UserError(f"`settings` has {name!r}, {why}: leave it out")
        for one in value if isinstance(value, list | tuple) else (value,):
            finite = not isinstance(one, float) or math.isfinite(one)
            if not (finite and (one is None or isinstance(one, bool | int | float | str))):
                raise UserError(
                    f"`settings` has a {type(one).__name__} as {name!r}: give a text, a finite "
                    "number, a boolean, None, or a list of them"
                )
