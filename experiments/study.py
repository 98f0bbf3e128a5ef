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
    streaming,
    together,
)
from hasa_jax.cohorts import draw, possible_units
from hasa_jax.datasets import fingerprint
from hasa_jax.tracking import ConsoleWriter, CsvWriter, TensorBoardWriter, Writer, say


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
    number = FLAGS.seeds_per_program
    groups = [seeds[start : start + number] for start in range(0, len(seeds), number)]
    datasets = [build.build_dataset(seed) for seed in groups[0]]
    hashes = dict(zip(groups[0], map(fingerprint, datasets), strict=True))
    algorithms = _build_algorithms(datasets[0], arms)
    # What the first seeds cannot run is refused before anything is written.
    allocations = _allocate_all(datasets, algorithms, arms, groups[0])
    for arm in arms:
        _check_memory(algorithms[arm.method], datasets[0], allocations, arm)
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
    run_trials(
        algorithm,
        trials,
        num_rounds=FLAGS.num_rounds,
        clients_per_round=FLAGS.clients_per_round,
        eval_every=FLAGS.eval_every,
        client_weights=method.client_weights,
        tail_fraction=FLAGS.tail_fraction,
        possible=_possible_units(allocations, arm),
        stream=FLAGS.stream,
        writers=writers,
    )


def _possible_units(allocations: Mapping[Arm, Sequence[Allocation]], arm: Arm) -> np.ndarray:
    """Returns the sizes that an arm's program must run, with repeats.

    The arms of one method share a program between seeds, if they share the sizes in it; a single
    seed is better served by the exact sizes of each arm.
    """
    several = len(allocations[arm]) > 1
    arms = [other for other in allocations if other.method == arm.method] if several else [arm]
    return np.concatenate(
        [
            possible_units(allocation, FLAGS.num_rounds + 1)
            for other in arms
            for allocation in allocations[other]
        ]
    )


def _check_memory(
    algorithm: FederatedAlgorithm,
    dataset: FederatedDataset,
    allocations: Mapping[Arm, Sequence[Allocation]],
    arm: Arm,
) -> None:
    """Says what a device needs for a group of seeds; refuses a run that does not fit."""
    trials = len(allocations[arm])
    cohort = draw(
        algorithm,
        dataset.train,
        allocations[arm][0],
        jax.random.key(FLAGS.seed),
        FLAGS.clients_per_round,
        build.build_method(arm.method).client_weights,
        _possible_units(allocations, arm),
        0,
        alone=trials > 1,
    )
    splits = [dataset.train, dataset.validation, dataset.test]
    if FLAGS.stream:
        streaming.check(algorithm.model)
        clients = streaming.clients_of(cohort)
        room = int(dataset.train.num_examples[clients].sum())
        splits = [streaming.subset(dataset.train, clients, room)] * 2
    # Devices share a cohort, or take a share of the seeds.
    sharing = together.sharing(algorithm.devices, trials) if trials > 1 else algorithm.devices
    used = jax.devices()[:sharing]
    each = trials // sharing if trials > 1 else 1
    need = memory.memory_need(algorithm, splits, cohort, each)
    say(f"memory of a device for {arm.method} ({arm.policy}): {need.describe()}")
    memory.check_fits(need, memory.available_bytes(used[0]), used)
