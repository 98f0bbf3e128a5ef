"""From flags to data sets, models, algorithms and allocations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from experiments.flags import FLAGS
from experiments.study import devices
from experiments.study.app import numbers
from experiments.study.scores import named_score, scores_of
from hasa_jax import (
    EXECUTIONS,
    METHODS,
    MODELS,
    POLICIES,
    UNBUDGETED,
    Allocation,
    FederatedAlgorithm,
    FederatedDataset,
    Method,
    UserError,
    allocate,
    from_linen,
)
from hasa_jax.allocation.budget import sizes_at
from hasa_jax.client import batches
from hasa_jax.methods import method as methods
from hasa_jax.models.layers import spread_exits
from hasa_jax.server.faults import Faults
from hasa_jax.supernet import costs

_SERVER_OPTIMIZERS = {"adam": optax.adam, "sgd": optax.sgd, "yogi": optax.yogi}


def build_method(name: str) -> Method:
    """Returns a published method, with the flags that the user gave in place of its choices."""
    given = {field: FLAGS[field].value for field in methods.CHOICES}
    changes = {field: value for field, value in given.items() if value is not None}
    return dataclasses.replace(METHODS[name], **changes)


def build_algorithm(
    dataset: FederatedDataset, method: Method, execution: str
) -> FederatedAlgorithm:
    """Builds the flagged model, and a method on it, for a data set of this shape."""
    return methods.build(
        method,
        from_linen(_module(dataset, method), dataset.train.inputs, jnp.dtype(FLAGS.compute_dtype)),
        extraction=_extraction_options(method),
        objective=_objective_options(method),
        execution=None if execution == "auto" else EXECUTIONS[execution],
        client_optimizer=_client_optimizer(),
        server_optimizer=_SERVER_OPTIMIZERS[FLAGS.server_optimizer](FLAGS.server_lr),
        schedule=_schedule(),
        proximal=FLAGS.proximal,
        local_epochs=FLAGS.local_epochs,
        batch_size=FLAGS.batch_size,
        client_block=FLAGS.client_block or None,
        devices=devices.device_count(FLAGS.host_devices),
        positions=batches.usual_positions(dataset.train, FLAGS.batch_size),
        drop_nonfinite=FLAGS.drop_nonfinite,
        faults=Faults(
            dropout=FLAGS.client_dropout,
            deadline=FLAGS.deadline,
            corrupted=FLAGS.corrupted,
            corruption=FLAGS.corruption,
            scale=FLAGS.corruption_scale,
        ),
        trim=FLAGS.trim,
    )


def execution_settings() -> dict[str, Any]:
    """Returns what the flags of execution come to on this machine."""
    return {
        "backend": jax.default_backend(),
        "devices": devices.device_count(FLAGS.host_devices),
        "client_block": devices.lanes(FLAGS.client_block) or "all",
    }


def _module(dataset: FederatedDataset, method: Method) -> nn.Module:
    """Builds the flagged supernet; refuses one that the data does not fit."""
    name, train = FLAGS.model, dataset.train
    next_word = train.targets.ndim == 2
    fits = {
        "lstm": next_word,
        "transformer": dataset.num_tokens > 0,
        "mlp": not dataset.num_tokens,
        "cnn": train.inputs.ndim == 4,
        "resnet18": train.inputs.ndim == 4,
    }
    if not fits[name]:
        fitting = ", ".join(model for model, fit in fits.items() if fit)
        raise UserError(f"--model={name} does not fit --dataset={FLAGS.dataset}: use {fitting}")
    stages = len(_STAGES) if name in ("cnn", "resnet18") else FLAGS.layers
    if FLAGS.exits > stages:
        more = "" if name in ("cnn", "resnet18") else ", or raise --layers"
        raise UserError(
            f"--exits={FLAGS.exits} but --model={name} has depth {stages} here: lower --exits{more}"
        )
    fields: dict[str, Any] = {
        "num_classes": train.num_classes,
        "scaler": method.scaler,
        "exits": FLAGS.exits,
        "exit_blocks": spread_exits(FLAGS.exits, stages),
    }
    if name in ("lstm", "transformer"):
        fields["num_tokens"] = dataset.num_tokens
    if name in ("mlp", "cnn", "resnet18"):
        fields["norm"] = method.norm
    if name in ("lstm", "mlp"):
        fields |= {"hidden": FLAGS.hidden_dim, "layers": FLAGS.layers}
    if name == "lstm":
        fields["embed_dim"] = FLAGS.embed_dim
    if name in ("cnn", "resnet18"):
        # As published, every stage has twice the units of the one before.
        fields |= {stage: FLAGS.hidden_dim * 2**depth for depth, stage in enumerate(_STAGES)}
    if name == "transformer":
        fields |= {
            "embed": FLAGS.embed_dim,
            "heads": FLAGS.heads,
            "head_dim": FLAGS.head_dim,
            "feedforward": FLAGS.feedforward_dim,
            "layers": FLAGS.layers,
            "causal": next_word,
            "max_length": train.inputs.shape[1],
        }
    return MODELS[name](**fields)


_STAGES = ("stage1", "stage2", "stage3", "stage4")


def _extraction_options(method: Method) -> dict[str, Any]:
    """Returns the flagged options of a method's extraction."""
    options: dict[str, dict[str, Any]] = {
        "rolling": {"step": FLAGS.rolling_step},
        "random": {"shared": FLAGS.shared_units},
        "ordered_dropout": {
            "levels": tuple(numbers("dropout_levels")),
            "teacher": method.objective == "self_distillation",
        },
        "depth_width": {"widths": numbers("exit_widths") or None},
        "importance": {"threshold": FLAGS.threshold, "measure": FLAGS.measure},
        "pruning_greedy": {"threshold": FLAGS.threshold},
        "neuron_importance": {"measure": FLAGS.measure},
    }
    return options.get(method.extraction, {})


def _objective_options(method: Method) -> dict[str, Any]:
    """Returns the flagged options of a method's objective."""
    if method.objective != "multi_exit":
        return {}
    return {
        "distillation": FLAGS.distillation,
        "temperature": FLAGS.temperature,
        "first_round": FLAGS.num_rounds // 4,
        "detach_teacher": FLAGS.detach_teacher,
    }


def _client_optimizer() -> optax.GradientTransformation:
    """Builds the flagged local optimizer."""
    parts: list[optax.GradientTransformation] = []
    if FLAGS.client_clip_norm:
        parts.append(optax.clip_by_global_norm(FLAGS.client_clip_norm))
    if FLAGS.client_optimizer == "adam":
        parts.append(optax.scale_by_adam(eps=FLAGS.client_adam_eps))
        if FLAGS.client_weight_decay:
            parts.append(optax.add_decayed_weights(FLAGS.client_weight_decay))
    else:
        if FLAGS.client_weight_decay:
            parts.append(optax.add_decayed_weights(FLAGS.client_weight_decay))
        if FLAGS.client_momentum:
            parts.append(optax.trace(FLAGS.client_momentum))
    return optax.chain(*parts, optax.scale_by_learning_rate(FLAGS.client_lr))


def _schedule() -> Any:
    """Builds the flagged factor on the clients' learning rate, by round."""
    milestones, decay = numbers("lr_milestones"), FLAGS.lr_decay

    def schedule(round: jax.Array) -> jax.Array:
        passed = sum(jnp.float32(round >= milestone) for milestone in milestones)
        return jnp.float32(decay) ** passed

    return schedule if milestones else None


def eval_levels(algorithm: FederatedAlgorithm) -> dict[str, int]:
    """Returns the sizes of `--eval_levels` in units, by the names that the user gave them."""
    levels = np.array(numbers("eval_levels"))
    if not ((levels > 0) & (levels <= 1)).all() or len(np.unique(levels)) < len(levels):
        given = ",".join(FLAGS.eval_levels)
        raise UserError(f"--eval_levels={given}: levels are in (0, 1], each of them once")
    table = costs.cost_table(algorithm.model, algorithm.extraction, FLAGS.budget_unit)
    sizes = sizes_at(levels, FLAGS.budget_unit, table)
    return dict(zip(FLAGS.eval_levels, map(int, sizes), strict=True))


def build_allocation(
    dataset: FederatedDataset, algorithm: FederatedAlgorithm, policy: str, seed: int
) -> Allocation:
    """Decides the widths of `policy` or `policy@score` from the training data of one seed."""
    policy, score = named_score(policy)
    key = jax.random.key(seed)
    capacities = numbers("capacities") or None
    if policy == "capacity" and capacities is None:
        raise UserError("policy capacity follows the devices' widths: list them in --capacities")
    return allocate(
        dataset.train,
        algorithm.model,
        policy={**POLICIES, **UNBUDGETED}[policy](**_policy_options(policy)),
        scores=scores_of(dataset, algorithm, score, seed),
        key=key,
        extraction=algorithm.extraction,
        budgeted=policy in POLICIES,
        dynamic=FLAGS.dynamic,
        budget=FLAGS.budget,
        budget_unit=FLAGS.budget_unit,
        budget_projection=FLAGS.budget_projection,
        w_min=FLAGS.w_min,
        w_max=FLAGS.w_max,
        capacities=capacities,
    )


def _policy_options(policy: str) -> Mapping[str, Any]:
    """Returns the flagged options of a policy."""
    if policy == "fixed":
        return {"widths": numbers("widths")}
    if policy == "levels":
        return {
            "levels": numbers("levels"),
            "proportions": numbers("level_proportions") or None,
            "draw": FLAGS.dynamic,
        }
    return {}
