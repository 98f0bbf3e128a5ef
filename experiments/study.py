"""Methods or policies times matched seeds: what train and compare both run."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import jax

from experiments import build, tables, workdir
from experiments.flags import FLAGS, values_of_the_run
from experiments.unused import refuse_unused
from hasa_jax import Allocation, FederatedAlgorithm, FederatedDataset, run
from hasa_jax.datasets import fingerprint
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
    dataset = build.build_dataset(seeds[0])
    hashes = {seeds[0]: fingerprint(dataset)}
    algorithms = _build_algorithms(dataset, arms)
    # A budget that cannot be met is refused before anything is written.
    allocations = _allocate_all(dataset, algorithms, arms, seeds[0])
    folder = workdir.open_workdir(FLAGS.workdir, script, run_flags, hashes)
    methods = {arm.method: dataclasses.asdict(build.build_method(arm.method)) for arm in arms}
    workdir.write_manifest(folder, script, run_flags, hashes, methods)
    files = CsvWriter(folder)
    writers: list[Writer] = [files, ConsoleWriter(FLAGS.num_rounds * len(arms) * len(seeds))]
    try:
        if FLAGS.tensorboard:
            writers.append(TensorBoardWriter(folder / "tensorboard"))
        for seed in seeds:
            if seed != seeds[0]:
                previous, dataset = dataset, build.build_dataset(seed)
                hashes[seed] = fingerprint(dataset)
                # Seeds whose data have one shape share the algorithms and compiled programs.
                if _shape(dataset) != _shape(previous):
                    algorithms = _build_algorithms(dataset, arms)
                allocations = _allocate_all(dataset, algorithms, arms, seed)
            for arm, allocation in zip(arms, allocations, strict=True):
                _run_one(algorithms[arm.method], dataset, allocation, arm, seed, writers)
        files.publish()
        workdir.write_manifest(folder, script, run_flags, hashes, methods)
    finally:
        for writer in writers:
            writer.close()
    print(f"\n{tables.write(folder, FLAGS.reference)}\nresults: {folder}")
    return folder


def _shape(dataset: FederatedDataset) -> tuple[int, int, tuple[int, ...]]:
    """Returns what a model must fit: classes, tokens, and the shape of an example."""
    return dataset.train.num_classes, dataset.num_tokens, dataset.train.inputs.shape[1:]


def _build_algorithms(
    dataset: FederatedDataset, arms: Sequence[Arm]
) -> dict[str, FederatedAlgorithm]:
    """Builds the algorithm of every method."""
    return {
        name: build.build_algorithm(dataset, build.build_method(name), FLAGS.execution)
        for name in dict.fromkeys(arm.method for arm in arms)
    }


def _allocate_all(
    dataset: FederatedDataset,
    algorithms: dict[str, FederatedAlgorithm],
    arms: Sequence[Arm],
    seed: int,
) -> list[Allocation]:
    """Decides the widths of every arm."""
    return [
        build.build_allocation(dataset, algorithms[arm.method], arm.policy, seed) for arm in arms
    ]


def _run_one(
    algorithm: FederatedAlgorithm,
    dataset: FederatedDataset,
    allocation: Allocation,
    arm: Arm,
    seed: int,
    writers: Sequence[Writer],
) -> None:
    """Runs one arm on one seed."""
    method = build.build_method(arm.method)
    run(
        algorithm,
        dataset,
        allocation,
        key=jax.random.key(seed),
        num_rounds=FLAGS.num_rounds,
        clients_per_round=FLAGS.clients_per_round,
        eval_every=FLAGS.eval_every,
        client_weights=method.client_weights,
        tail_fraction=FLAGS.tail_fraction,
        labels={
            "method": arm.method,
            "policy": arm.policy,
            "extraction": method.extraction,
            "aggregation": method.aggregation,
            "seed": seed,
        },
        writers=writers,
    )
