"""From a configuration to a method: one by its name, and what the user changes of it."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from experiments.config import RunConfig
from experiments.rooms import FROM_FILE, AllocationConfig, named_score
from experiments.study.by_client import numbers_by_client
from experiments.study.own_methods import method_called, own_methods
from hasa_jax.allocation import POLICIES, BudgetSpec
from hasa_jax.allocation.policy import Policy
from hasa_jax.allocation.scores import SCORES
from hasa_jax.base import FederatedDataset, UserError
from hasa_jax.client.objectives import OBJECTIVES
from hasa_jax.client.objectives.objective import Objective, objective_on
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.methods import METHODS, Method
from hasa_jax.supernet.types import Extraction

_NUMBERS = ("trim", "proximal", "supernet_width")
"""Numbers of a method that have a flag."""


@dataclasses.dataclass(frozen=True)
class Parts:
    """What a method is made of, by names in the library's tables.

    Attributes:
      policy: allocation of widths.
      extraction: what a size keeps.
      objective: what clients minimise.
      norm: norm of models that have a choice.
      scaler: when activations are divided by the width.
      label_split: whether clients train only label rows of their own classes and tokens.
      aggregation: denominator of the server's mean.
      client_weights: weights of the server's mean.
      robust: what replaces the plain mean.
    """

    policy: str
    extraction: str
    objective: str
    norm: str
    scaler: str
    label_split: bool
    aggregation: str
    client_weights: str
    robust: str


def parts_of(config: RunConfig, name: str) -> Parts:
    """Returns the parts of a method, with those that the user changes.

    Args:
      config: the configuration.
      name: the method, one of `METHODS` or of the user's own.

    Returns:
      The parts.

    Raises:
      UserError: if there is no such method.
    """
    published = method_called(config.method.own_method, name)
    usual: dict[str, Any] = vars(published) | {
        part: getattr(published, part).name for part in ("policy", "extraction", "objective")
    }
    chosen: dict[str, Any] = vars(config.method) | {"policy": config.allocation.policy}
    names = [field.name for field in dataclasses.fields(Parts)]
    return Parts(**{n: usual[n] if chosen[n] is None else chosen[n] for n in names})


def describe(config: RunConfig, name: str, dataset: FederatedDataset) -> dict[str, Any]:
    """Returns what run.json holds of a method on a data set: its summary and its parts.

    Of a user's own method, it is also where it comes from, and the hash of its source.
    """
    parts, method = parts_of(config, name), method_called(config.method.own_method, name)
    objective = objective_on(_objective(config, method, parts), dataset)
    parts = dataclasses.replace(parts, objective=objective.name)
    projection = projection_of(config, name)
    own = own_methods(config.method.own_method).get(name)
    source = {} if own is None else own.recorded
    return {"summary": method.summary, **vars(parts), "projection": projection, **source}


def method_of(config: RunConfig, name: str, policy: str, clients: Sequence[str]) -> Method:
    """Builds a method under a policy.

    Args:
      config: the configuration.
      name: the method, one of `METHODS` or of the user's own. What the user does not change of
        their own method stays the very object that its factory gives it.
      policy: `policy` or `policy@score`.
      clients: names of all clients, which own capacities and widths.

    Returns:
      The method.

    Raises:
      UserError: for parts that do not fit each other, and bad options of a part.
    """
    parts, (named, score) = parts_of(config, name), named_score(policy, config.allocation.score)
    method, own = method_called(config.method.own_method, name), name not in METHODS
    allocated = _policy(config.allocation, named, clients, method.policy if own else None)
    extraction = method.extraction
    if not own or config.method.extraction is not None:
        extraction = _extraction(config, parts, named)
    scored = SCORES[score]() if allocated.scored and score != FROM_FILE else None
    if own and method.score is not None and allocated.scored and "@" not in policy:
        scored = method.score
    return dataclasses.replace(
        method,
        extraction=extraction,
        objective=_objective(config, method, parts),
        policy=allocated,
        budget=_budget(config.allocation, projection_of(config, name), clients),
        score=scored,
        norm=parts.norm,
        scaler=parts.scaler,
        label_split=parts.label_split,
        aggregation=parts.aggregation,
        client_weights=parts.client_weights,
        robust=parts.robust,
        **_numbers(config, method),
    )


def _numbers(config: RunConfig, method: Method) -> dict[str, float]:
    """Returns the numbers of a method: those that the user changes, else its own."""
    chosen = {name: getattr(config.method, name) for name in _NUMBERS}
    usual = {name: getattr(Method, name) for name in _NUMBERS}
    if method.name in METHODS:
        return chosen
    return {n: v if v != usual[n] else getattr(method, n) for n, v in chosen.items()}


def published_widths(chosen: AllocationConfig, policy: str) -> tuple[float, ...]:
    """Returns the levels of a policy that gives published widths; others follow from sizes."""
    return chosen.levels if policy == "levels" and chosen.budget_unit == "width" else ()


def projection_of(config: RunConfig, name: str) -> str:
    """Returns how a method's widths are scaled: as the user says, else as published for widths.

    HASA's two passes are published for a budget in width. In other units they miss it by several
    hundredths, so the exact projection is the default there.
    """
    chosen = config.allocation
    if chosen.budget_projection is not None:
        return chosen.budget_projection
    if chosen.budget_unit != "width":
        return "exact"
    return method_called(config.method.own_method, name).budget.projection


def published_shares(config: RunConfig, policy: str) -> tuple[float, ...]:
    """Returns the fractions of the parameters that sizes of single parameters meet exactly."""
    # Without levels of their own, sizes of clients must not depend on what is evaluated.
    if policy != "levels" or config.allocation.budget_unit not in ("params", "macs"):
        return ()
    return tuple(dict.fromkeys((*config.allocation.levels, *config.reporting.eval_levels)))


def _extraction(config: RunConfig, parts: Parts, policy: str) -> Extraction:
    """Builds the extraction with its options, for clients of published sizes."""
    chosen, exits = config.method, len(config.model.exits_after) + 1
    exits = exits if config.model.exits_after else config.model.exits
    levels, exact = published_widths(config.allocation, policy), published_shares(config, policy)
    if chosen.exit_widths and len(chosen.exit_widths) != exits:
        raise UserError(
            f"`exit_widths` has {len(chosen.exit_widths)} widths, but the model has {exits} "
            "exits: give one for each"
        )
    options: dict[str, dict[str, Any]] = {
        "prefix": {"levels": levels},
        "rolling": {"step": chosen.rolling_step, "levels": levels},
        "random": {"shared": chosen.shared_units, "levels": levels},
        "ordered_dropout": {
            "levels": chosen.dropout_levels,
            "teacher": parts.objective == "self_distillation",
            "client_levels": levels,
        },
        "depth_width": {"widths": chosen.exit_widths or None},
        "importance": {
            "threshold": chosen.threshold,
            "measure": chosen.measure,
            "gradient": chosen.importance_gradient,
            "levels": exact,
        },
        "pruning_greedy": {"threshold": chosen.threshold, "levels": exact},
        "neuron_importance": {"measure": chosen.measure, "levels": levels},
    }
    try:
        return EXTRACTIONS[parts.extraction](**options.get(parts.extraction, {}))
    except UserError as error:  # Policies have arguments of the same names.
        message = str(error).replace("`levels`", "`dropout_levels`")
        raise UserError(message.replace("`widths`", "`exit_widths`")) from None


def _objective(config: RunConfig, method: Method, parts: Parts) -> Objective:
    """Builds the objective with its options: the method's own, or the one that the user chose."""
    chosen = config.method.objective
    if chosen is None and (parts.objective != "multi_exit" or method.name not in METHODS):
        return method.objective
    if chosen is not None and chosen != "multi_exit":
        return OBJECTIVES[chosen]()
    return OBJECTIVES["multi_exit"](
        distillation=config.method.distillation,
        temperature=config.method.temperature,
        first_round=config.training.num_rounds // 4,
        detach_teacher=config.method.detach_teacher,
    )


def _policy(
    chosen: AllocationConfig, name: str, clients: Sequence[str], own: Policy | None
) -> Policy:
    """Builds the policy with its options; `own` is that of a user's own method."""
    if own is not None and own.name == name and chosen.policy is None:
        return own
    if name not in POLICIES:
        raise UserError(
            f"there is no policy {name!r}: use one of {', '.join(sorted(POLICIES))}, or a method "
            "of your own that has it"
        )
    options: dict[str, dict[str, Any]] = {
        "fixed": {"widths": numbers_by_client("widths", chosen.widths, clients) or ()},
        "levels": {
            "levels": chosen.levels,
            "proportions": chosen.level_proportions or None,
            "dynamic": chosen.dynamic,
        },
        "need": {
            "objective": chosen.need_objective,
            "reallocate_every": chosen.reallocate_every,
        },
        "random": {"dynamic": chosen.dynamic},
    }
    return POLICIES[name](**options.get(name, {}))


def _budget(chosen: AllocationConfig, projection: str, clients: Sequence[str]) -> BudgetSpec:
    """Builds the budget, by the method's projection unless the user chose one."""
    return BudgetSpec(
        target=chosen.budget,
        unit=chosen.budget_unit,
        projection=chosen.budget_projection or projection,
        w_min=chosen.w_min,
        w_max=chosen.w_max,
        capacities=numbers_by_client("capacities", chosen.capacities, clients),
    )
