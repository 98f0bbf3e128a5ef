"""From a configuration to programs and allocations."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from experiments.config import RunConfig
from experiments.rooms import FROM_FILE, named_score, number_text
from experiments.study import optimizers
from experiments.study.arm import Arm
from experiments.study.availability import availability_of
from experiments.study.block import Block
from experiments.study.method import method_of, published_shares, published_widths
from experiments.study.model import model_of
from experiments.study.scores import read_scores
from hasa_jax.allocation import Allocation
from hasa_jax.allocation.rounding import sizes_of_levels
from hasa_jax.base import FederatedDataset
from hasa_jax.client.augmentation import augmentation
from hasa_jax.methods import Method
from hasa_jax.server.faults import Faults
from hasa_jax.simulation.allocating import make_trial
from hasa_jax.simulation.options import Execution, Training
from hasa_jax.simulation.program import Program, make_program
from hasa_jax.simulation.trial import Trial
from hasa_jax.supernet.costs import cost_table


def build_programs(
    config: RunConfig, dataset: FederatedDataset, arms: Sequence[Arm]
) -> dict[Arm, Program]:
    """Builds what every arm runs.

    Arms of one method share a program if they run in one mode and have the same published sizes.

    Args:
      config: the configuration.
      dataset: supplies shapes; data sets of the same shapes share programs.
      arms: everything that runs.

    Returns:
      The programs.

    Raises:
      UserError: if a model does not fit the data or a method.
    """
    programs: dict[Arm, Program] = {}
    shared: dict[tuple[str, str, tuple[float, ...], tuple[float, ...]], Program] = {}
    for arm in arms:
        own = build_program(config, dataset, method_of(config, *arm, dataset.client_names))
        widths = published_widths(config.allocation, arm.policy)
        kind = (arm.method, own.execution.mode, widths, published_shares(config, arm.policy))
        programs[arm] = shared.setdefault(kind, own)
    return programs


def build_program(config: RunConfig, dataset: FederatedDataset, method: Method) -> Program:
    """Builds the program of a method.

    Args:
      config: the configuration.
      dataset: supplies shapes.
      method: the method; its policy only matters where the configuration leaves the mode open.

    Returns:
      The program.

    Raises:
      UserError: if the model does not fit the data or the method.
    """
    faults, training, execution = config.faults, config.training, config.execution
    return make_program(
        method,
        model_of(config.model, dataset),
        dataset,
        client_optimizer=optimizers.client_optimizer(training),
        training=Training(
            server_optimizer=optimizers.server_optimizer(training),
            schedule=optimizers.schedule(training),
            local_epochs=training.local_epochs,
            batch_size=training.batch_size,
            clients_per_round=training.clients_per_round,
            sampling=training.sampling,
            candidates=training.candidates,
            availability=availability_of(training, dataset.client_names),
            drop_nonfinite=training.drop_nonfinite,
            augment=augmentation(*training.augment) if training.augment else None,
            faults=Faults(
                dropout=faults.client_dropout,
                deadline=faults.deadline,
                corrupted=faults.corrupted,
                corruption=faults.corruption,
                scale=faults.corruption_scale,
            ),
        ),
        execution=Execution(
            mode=execution.execution,
            client_block=execution.client_block,
            mesh=execution.mesh,
            stream=execution.stream,
        ),
        num_rounds=training.num_rounds,
    )


def build_allocation(
    config: RunConfig, program: Program, dataset: FederatedDataset, arm: Arm, block: Block
) -> Allocation:
    """Decides the widths of an arm from the training data of one block: those of `build_trial`.

    Args:
      config: the configuration.
      program: that of the arm's method.
      dataset: only its training examples are read.
      arm: the method and the policy.
      block: the seed of the run, and its fold.

    Returns:
      The allocation.

    Raises:
      UserError: if the budget or the scores cannot be used.
    """
    return build_trial(config, program, dataset, arm, block, {}).allocation


def build_trial(
    config: RunConfig,
    program: Program,
    dataset: FederatedDataset,
    arm: Arm,
    block: Block,
    labels: Mapping[str, str | int],
) -> Trial:
    """Makes the run of an arm on one block, with widths from its training data.

    Args:
      config: the configuration.
      program: that of the arm's method.
      dataset: only its training examples are read.
      arm: the method and the policy.
      block: the seed of the run, and its fold.
      labels: columns in front of every record.

    Returns:
      The trial; a policy that measures has set examples apart.

    Raises:
      UserError: if the budget or the scores cannot be used.
    """
    method = method_of(config, *arm, dataset.client_names)
    # What is compiled and cached belongs to the extraction of the program.
    method = dataclasses.replace(method, extraction=program.extraction)
    _, score = named_score(arm.policy, config.allocation.score)
    scores = None
    if method.policy.scored and score == FROM_FILE:
        scores = read_scores(config.allocation.score_path, dataset.client_names, *block)
    trial = make_trial(method, program.model, dataset, block.key, scores, labels)
    return trial._replace(seed_key=jax.random.key(block.seed)) if block.fold else trial


def shared_sizes(config: RunConfig, program: Program, arm: Arm) -> list[str]:
    """Says which levels of an arm have one size, since the supernet has no more units.

    Args:
      config: the configuration.
      program: supplies the costs of all sizes.
      arm: only policy levels has levels.

    Returns:
      A line for each size that several levels share.
    """
    if arm.policy != "levels":
        return []
    found = _sizes_of(config, program, config.allocation.levels)
    by_size: dict[int, list[str]] = {}
    for name, size in found.items():
        by_size.setdefault(size, []).append(name)
    largest = max(program.model.groups.values())
    return [
        f"{arm.method}: levels {', '.join(names)} all have size {size} of {largest}"
        for size, names in by_size.items()
        if len(names) > 1
    ]


def eval_levels(config: RunConfig, program: Program) -> dict[str, int]:
    """Returns the sizes of `eval_levels`, by their names.

    Args:
      config: the configuration.
      program: supplies the costs of all sizes.

    Returns:
      `{name: size}`.
    """
    return _sizes_of(config, program, config.reporting.eval_levels)


def _sizes_of(config: RunConfig, program: Program, levels: Sequence[float]) -> dict[str, int]:
    """Returns the sizes of levels in the unit of the budget, by their names."""
    unit = config.allocation.budget_unit
    sizes = sizes_of_levels(
        np.array(levels), unit, cost_table(program.model, program.extraction, unit)
    )
    return dict(zip(map(number_text, levels), map(int, sizes), strict=True))
