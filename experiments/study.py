"""Policies times matched seeds: what train and compare both run."""

from __future__ import annotations

import inspect
import pathlib
from collections.abc import Mapping, Sequence

import jax
import numpy as np
import optax

from experiments import tables, workdir
from experiments.flags import FLAGS, numbers, values_of_the_run
from hasa_jax import (
    DATASETS,
    EXECUTIONS,
    EXTRACTIONS,
    MODELS,
    POLICIES,
    SCORES,
    Allocation,
    FederatedAlgorithm,
    FederatedDataset,
    UserError,
    allocate,
    from_linen,
    partial_training,
    run,
)
from hasa_jax.datasets import fingerprint
from hasa_jax.tracking import ConsoleWriter, CsvWriter, TensorBoardWriter, Writer

_SERVER_OPTIMIZERS = {"adam": optax.adam, "sgd": optax.sgd, "yogi": optax.yogi}


def run_study(script: str, policies: Sequence[str], seeds: Sequence[int]) -> pathlib.Path:
    """Runs every policy on every seed and writes the workdir.

    Policies of one seed share data split, initialisation and batches; only widths differ.

    Args:
      script: name of the script, for the manifest and the default workdir.
      policies: names in `POLICIES`; the first is the one that others are compared with.
      seeds: root seeds.

    Returns:
      The workdir.
    """
    run_flags = values_of_the_run()
    dataset = build_dataset(seeds[0])
    hashes = {seeds[0]: fingerprint(dataset)}
    algorithm = build_algorithm(dataset, FLAGS.execution)
    # A budget that cannot be met is refused before anything is written.
    allocations = allocate_all(policies, dataset, algorithm, seeds[0])
    folder = workdir.open_workdir(FLAGS.workdir, script, run_flags, hashes)
    workdir.write_manifest(folder, script, run_flags, hashes)
    files = CsvWriter(folder)
    writers: list[Writer] = [files, ConsoleWriter(FLAGS.num_rounds * len(policies) * len(seeds))]
    try:
        if FLAGS.tensorboard:
            writers.append(TensorBoardWriter(folder / "tensorboard"))
        for seed in seeds:
            if seed != seeds[0]:
                previous, dataset = dataset, build_dataset(seed)
                hashes[seed] = fingerprint(dataset)
                # Seeds whose data have one shape share the algorithm and its compiled programs.
                if _shape(dataset) != _shape(previous):
                    algorithm = build_algorithm(dataset, FLAGS.execution)
                allocations = allocate_all(policies, dataset, algorithm, seed)
            for policy, allocation in allocations.items():
                _run_one(algorithm, dataset, allocation, policy, seed, writers)
        files.publish()
        workdir.write_manifest(folder, script, run_flags, hashes)
    finally:
        for writer in writers:
            writer.close()
    print(f"\n{tables.write(folder)}\nresults: {folder}")
    return folder


def build_dataset(seed: int) -> FederatedDataset:
    """Builds the flagged data set, giving its builder the flags that it takes."""
    builder = DATASETS[FLAGS.dataset]
    if FLAGS.dataset == "titles" and not FLAGS.data_path:
        raise UserError("--dataset=titles reads a CSV file: name it with --data_path")
    names = set(inspect.signature(builder).parameters) - {"key"}
    return builder(jax.random.key(seed), **{name: FLAGS[name].value for name in sorted(names)})


def _shape(dataset: FederatedDataset) -> tuple[int, int]:
    """Returns what a model must fit: classes, and the length of an example."""
    return dataset.train.num_classes, dataset.train.inputs.shape[1]


def build_algorithm(dataset: FederatedDataset, execution: str) -> FederatedAlgorithm:
    """Builds the flagged model and algorithm for a data set of this shape."""
    num_classes, length = _shape(dataset)
    module = MODELS[FLAGS.model](
        # Every word, padding, and out-of-vocabulary.
        num_tokens=num_classes + 2,
        num_classes=num_classes,
        embed_dim=FLAGS.embed_dim,
        hidden=FLAGS.hidden_dim,
        scaler=FLAGS.scaler,
    )
    return partial_training(
        from_linen(module, np.zeros((1, length), np.int32)),
        execution=EXECUTIONS[execution],
        order=EXTRACTIONS[FLAGS.extraction](),
        client_optimizer=_client_optimizer(),
        server_optimizer=_SERVER_OPTIMIZERS[FLAGS.server_optimizer](FLAGS.server_lr),
        aggregation=FLAGS.aggregation,
        local_epochs=FLAGS.local_epochs,
        batch_size=FLAGS.batch_size,
    )


def _client_optimizer() -> optax.GradientTransformation:
    """Builds the flagged local optimizer."""
    if FLAGS.client_optimizer == "adam":
        return optax.adam(FLAGS.client_lr, eps=FLAGS.client_adam_eps)
    return optax.sgd(FLAGS.client_lr)


def allocate_all(
    policies: Sequence[str], dataset: FederatedDataset, algorithm: FederatedAlgorithm, seed: int
) -> Mapping[str, Allocation]:
    """Decides the widths of every policy from the training data of one seed."""
    key = jax.random.key(seed)
    scores = SCORES[FLAGS.score]()(dataset.train, algorithm.model, key)
    capacities = numbers("capacities") or None
    if "capacity" in policies and capacities is None:
        raise UserError("policy capacity follows the devices' widths: list them in --capacities")
    return {
        policy: allocate(
            dataset.train,
            algorithm.model,
            policy=POLICIES[policy](*([numbers("widths")] if policy == "fixed" else [])),
            scores=scores,
            key=key,
            budget=FLAGS.budget,
            budget_unit=FLAGS.budget_unit,
            budget_projection=FLAGS.budget_projection,
            w_min=FLAGS.w_min,
            w_max=FLAGS.w_max,
            capacities=capacities,
        )
        for policy in policies
    }


def _run_one(
    algorithm: FederatedAlgorithm,
    dataset: FederatedDataset,
    allocation: Allocation,
    policy: str,
    seed: int,
    writers: Sequence[Writer],
) -> None:
    """Runs one policy on one seed."""
    run(
        algorithm,
        dataset,
        allocation,
        key=jax.random.key(seed),
        num_rounds=FLAGS.num_rounds,
        eval_every=FLAGS.eval_every,
        client_weights=FLAGS.client_weights,
        tail_fraction=FLAGS.tail_fraction,
        labels={
            "policy": policy,
            "extraction": FLAGS.extraction,
            "aggregation": FLAGS.aggregation,
            "seed": seed,
        },
        writers=writers,
    )
