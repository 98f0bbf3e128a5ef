"""Builds the algorithm of the whole family: every client trains a subnet of one supernet."""

from __future__ import annotations

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from hasa_jax.base import UserError
from hasa_jax.client import training as local
from hasa_jax.client.objectives import cross_entropy
from hasa_jax.execution import masked, sliced
from hasa_jax.execution.interface import Execution
from hasa_jax.execution.round import FederatedAlgorithm
from hasa_jax.extraction import prefix
from hasa_jax.server import aggregation as aggregating
from hasa_jax.server.faults import Faults
from hasa_jax.server.robust import check as check_robust
from hasa_jax.supernet import label_rows as rows
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Extraction, Model, Objective


def partial_training(
    model: Model,
    *,
    extraction: Extraction | None = None,
    objective: Objective | None = None,
    execution: Callable[..., Execution] | None = None,
    client_optimizer: optax.GradientTransformation | None = None,
    server_optimizer: optax.GradientTransformation | None = None,
    schedule: Callable[[jax.Array], jax.Array] | None = None,
    aggregation: str = "coverage",
    label_split: bool = False,
    proximal: float = 0.0,
    local_epochs: int = 1,
    batch_size: int = 32,
    client_block: int | None = None,
    devices: int = 1,
    positions: tuple[int, ...] = (),
    drop_nonfinite: bool = False,
    faults: Faults | None = None,
    robust: str = "none",
    trim: float = 0.2,
) -> FederatedAlgorithm:
    """Federated averaging in which every client trains a subnet of one supernet.

    Each round: extract every client's subnet, train it locally, sum the masked updates, take
    one server step. With all widths 1 and weights `n_i` this is FedAvg.

    Args:
      model: the supernet.
      extraction: which part of it a client holds; `prefix()` if None.
      objective: what clients minimise; `cross_entropy()` if None.
      execution: `masked` or `sliced` (see `hasa_jax.execution`); if None, `sliced` where the
        extraction ranks units, `masked` where it keeps single parameters.
      client_optimizer: local optimizer, fresh each round; `optax.sgd(0.1)` if None.
      server_optimizer: takes the mean update; `optax.sgd(1.0)`, plain averaging, if None.
      schedule: round -> factor on the clients' learning rate; 1 if None.
      aggregation: `coverage`, `full` or `nonzero`.
      label_split: whether a client contributes only those rows of the head, and of the token
        embedding, whose classes and tokens occur in its training data.
      proximal: FedProx's `mu`.
      local_epochs: passes over the client's data in a round.
      batch_size: examples in a local batch.
      client_block: clients in one `vmap`; by default one on CPUs and all of a size elsewhere.
      devices: how many share a cohort, or the seeds that run together.
      positions: from `batches.usual_positions` for data of texts: logits are computed where
        there are targets, at so many positions of a batch.
      drop_nonfinite: whether a client whose update holds a number that is not finite is left out
        of the round's mean.
      faults: clients that fail; none if None.
      robust: `none`, `norm_clip`, `trimmed_mean` or `median` in place of the plain mean; it holds
        the updates of all clients of a round at once.
      trim: share that the trimmed mean cuts off at each side of every coordinate.

    Returns:
      The algorithm; build it once and share it between seeds, so that they share programs.

    Raises:
      UserError: for parts that do not fit together.

    References:
      FedAvg, arXiv 1602.05629; HeteroFL, arXiv 2010.01264; FedProx, arXiv 1812.06127; HASA,
      arXiv 2606.07621.
    """
    extraction, objective = extraction or prefix(), objective or cross_entropy()
    _check_parts(model, extraction, objective, aggregation, label_split)
    check_robust(robust, trim)
    execution = execution or (masked if extraction.order is None else sliced)
    if client_block is None and jax.default_backend() == "cpu":
        # Batched products of small matrices are slower there than the products one by one.
        client_block = 1
    levels = extraction.levels
    draw = functools.partial(units.draw_sizes, model=model, levels=levels)
    return FederatedAlgorithm(
        model=model,
        extraction=extraction,
        execution=execution(model, extraction, client_block, devices),
        evaluation=execution(model, extraction, client_block, devices),
        rule=local.LocalRule(
            optimizer=client_optimizer or optax.sgd(0.1),
            objective=objective,
            proximal=proximal,
            draw=draw if levels else None,
            positions=positions if model.picks_positions else (),
        ),
        server_optimizer=server_optimizer or optax.sgd(1.0),
        schedule=schedule or (lambda round: jnp.float32(1.0)),
        aggregation=aggregation,
        label_split=label_split,
        local_epochs=local_epochs,
        batch_size=batch_size,
        devices=devices,
        drop_nonfinite=drop_nonfinite,
        faults=faults or Faults(),
        robust=robust,
        trim=trim,
    )


def _check_parts(
    model: Model, extraction: Extraction, objective: Objective, aggregation: str, split: bool
) -> None:
    """Refuses parts that do not fit together."""
    aggregating.check(aggregation)
    if split:
        rows.row_axes(model)
    # An extraction tells of a model that it does not fit when asked for a shape.
    extraction.shape(model, max(model.groups.values()))
    if extraction.all_exits != objective.all_exits:
        raise UserError(
            "subnets that differ in depth train all their exits: extraction depth_width and "
            "objective multi_exit go together"
        )
    if extraction.teacher != objective.teacher:
        raise UserError(
            "self-distillation needs a drawn width and a teacher: extraction ordered_dropout "
            "with teacher, and objective self_distillation, go together"
        )
