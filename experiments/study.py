"""Methods or policies times matched seeds: what train and compare both run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import jax
import numpy as np

from experiments import build, tables, workdir
from experiments.flags import FLAGS, values_of_the_run
from experiments.unused import refuse_unused
from hasa_jax import (
    Allocation,
    FederatedAlgorithm,
    FederatedDataset,
    Trial,
    UserError,
    memory,
    run_trials,
)
from hasa_jax.cohorts import draw, possible_units
from hasa_jax.datasets import fingerprint
from hasa_jax.streaming import clients_of, subset
from hasa_jax.tracking import ConsoleWriter, CsvWriter, TensorBoardWriter, Writer


class Arm(NamedTuple):
    """One row of the table: a method, and the policy that allocates its widths."""

    method: str
    policy: str


def run_study(script: str, arms: Sequence[Arm], seeds: Sequence[int]) -> pathlib.Path:
    """Runs every arm on every seed and writes the workdir.

    Arms of one seed share data split, initialisation and batches.

    Args:
      script: name of the script, for the manifest and the default workdir.
      arms: what is compared; the first is the one that others are compared with.
      seeds: root seeds.

    Returns:
      The workdir.
    """
    refuse_unused(arms)
    tables.choose_arm(arms, FLAGS.reference)
    run_flags = values_of_the_run()
    together = FLAGS.seeds_per_program
    groups = [seeds[start : start + together] for start in range(0, len(seeds), together)]
    datasets = [build.build_dataset(seed) for seed in groups[0]]
    hashes = dict(zip(groups[0], map(fingerprint, datasets), strict=True))
    algorithms = _build_algorithms(datasets[0], arms)
    # A budget that cannot be met is refused before anything is written.
    allocations = _allocate_all(datasets, algorithms, arms, groups[0])
    folder = workdir.open_workdir(FLAGS.workdir, script, run_flags, hashes)
    methods = {arm.method: dataclasses.asdict(build.build_method(arm.method)) for arm in arms}
    made = methods, build.execution_settings()
    workdir.write_manifest(folder, script, run_flags, hashes, *made)
    files = CsvWriter(folder)
    writers: list[Writer] = [files, ConsoleWriter(FLAGS.num_rounds * len(arms) * len(seeds))]
    try:
        if FLAGS.tensorboard:
            writers.append(TensorBoardWriter(folder / "tensorboard"))
        for group in groups:
            if group != groups[0]:
                previous, datasets = datasets, [build.build_dataset(seed) for seed in group]
                hashes |= dict(zip(group, map(fingerprint, datasets), strict=True))
                # Seeds whose data have one shape share the algorithms and compiled programs.
                if _shape(datasets) != _shape(previous):
                    algorithms = _build_algorithms(datasets[0], arms)
                allocations = _allocate_all(datasets, algorithms, arms, group)
            for arm in arms:
                _run_group(algorithms[arm.method], datasets, allocations, arm, group, writers)
        files.publish()
        workdir.write_manifest(folder, script, run_flags, hashes, *made)
    finally:
        for writer in writers:
            writer.close()
    print(f"\n{tables.write(folder, FLAGS.reference)}\nresults: {folder}")
    return folder


def _shape(datasets: Sequence[FederatedDataset]) -> tuple[int, int, tuple[int, ...]]:
    """Returns what a model must fit: classes, tokens, and the shape of an example.

    Raises:
      UserError: if data sets that share a program differ in it.
    """
    shapes = {
        (data.train.num_classes, data.num_tokens, data.train.inputs.shape[1:]) for data in datasets
    }
    if len(shapes) > 1:
        raise UserError(
            "the data of these seeds differ in classes, tokens or shape, so they cannot share a "
            "program: run with --seeds_per_program=1"
        )
    return shapes.pop()


def _build_algorithms(
    dataset: FederatedDataset, arms: Sequence[Arm]
) -> dict[str, FederatedAlgorithm]:
    """Builds the algorithm of every method."""
    return {
        name: build.build_algorithm(dataset, build.build_method(name), FLAGS.execution)
        for name in dict.fromkeys(arm.method for arm in arms)
    }


def _allocate_all(
    datasets: Sequence[FederatedDataset],
    algorithms: dict[str, FederatedAlgorithm],
    arms: Sequence[Arm],
    seeds: Sequence[int],
) -> dict[Arm, list[Allocation]]:
    """Decides the widths of every arm, for each seed."""
    _shape(datasets)
    return {
        arm: [
            build.build_allocation(dataset, algorithms[arm.method], arm.policy, seed)
            for dataset, seed in zip(datasets, seeds, strict=True)
        ]
        for arm in arms
    }


def _run_group(
    algorithm: FederatedAlgorithm,
    datasets: Sequence[FederatedDataset],
    allocations: Mapping[Arm, Sequence[Allocation]],
    arm: Arm,
    seeds: Sequence[int],
    writers: Sequence[Writer],
) -> None:
    """Runs one arm on seeds that share a program."""
    method = build.build_method(arm.method)
    columns = {
        "method": arm.method,
        "policy": arm.policy,
        "extraction": method.extraction,
        "aggregation": method.aggregation,
    }
    trials = [
        Trial(dataset, allocation, jax.random.key(seed), {**columns, "seed": seed})
        for dataset, allocation, seed in zip(datasets, allocations[arm], seeds, strict=True)
    ]
    # The arms of one method share its programs, if they share the sizes that are compiled.
    shared = [
        possible_units(allocation, FLAGS.num_rounds + 1)
        for other, group in allocations.items()
        for allocation in group
        if other.method == arm.method
    ]
    possible = np.concatenate(shared) if len(seeds) > 1 else None
    _check_memory(algorithm, trials, method.client_weights, possible)
    run_trials(
        algorithm,
        trials,
        num_rounds=FLAGS.num_rounds,
        clients_per_round=FLAGS.clients_per_round,
        eval_every=FLAGS.eval_every,
        client_weights=method.client_weights,
        tail_fraction=FLAGS.tail_fraction,
        possible=possible,
        stream=FLAGS.stream,
        writers=writers,
    )


def _check_memory(
    algorithm: FederatedAlgorithm,
    trials: Sequence[Trial],
    client_weights: str,
    possible: np.ndarray | None,
) -> None:
    """Says what a device needs for a group of seeds; refuses a run that does not fit."""
    trial = trials[0]
    cohort = draw(
        algorithm,
        trial.dataset.train,
        trial.allocation,
        trial.key,
        FLAGS.clients_per_round,
        client_weights,
        possible_units(trial.allocation, 1) if possible is None else possible,
        0,
        alone=len(trials) > 1,
    )
    splits = [trial.dataset.train, trial.dataset.validation, trial.dataset.test]
    if FLAGS.stream:
        clients = clients_of(cohort)
        splits = [subset(splits[0], clients, int(splits[0].num_examples[clients].sum()))] * 2
    used = jax.devices()[: algorithm.devices]
    need = memory.memory_need(algorithm, splits, cohort, len(trials))
    print(f"memory of a device: {need.describe()}", flush=True)
    memory.check_fits(need, memory.available_bytes(used[0]), used)
