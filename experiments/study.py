"""Policies times matched seeds: what train and compare both run."""

from __future__ import annotations

import functools
import inspect
import pathlib
from collections.abc import Sequence

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
from hasa_jax.datasets.fingerprint import fingerprint
from hasa_jax.tracking import ConsoleWriter, CsvWriter, TensorBoardWriter, Writer

_CLIENT_OPTIMIZERS = {"adam": optax.adam, "sgd": optax.sgd}
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
    first_data = build_dataset(seeds[0])
    folder = workdir.open_workdir(FLAGS.workdir, script, run_flags)
    # A budget that cannot be met is refused before any earlier result is replaced.
    for policy in policies:
        allocation_of(policy, first_data, algorithm_for(first_data, FLAGS.execution), seeds[0])

    writers: list[Writer] = [
        CsvWriter(folder),
        ConsoleWriter(FLAGS.num_rounds * len(policies) * len(seeds)),
    ]
    if FLAGS.tensorboard:
        writers.append(TensorBoardWriter(folder / "tensorboard"))
    hashes: dict[int, str] = {}
    try:
        for seed in seeds:
            dataset = build_dataset(seed)
            hashes[seed] = fingerprint(dataset)
            workdir.write_manifest(folder, script, run_flags, hashes)
            algorithm = algorithm_for(dataset, FLAGS.execution)
            for policy in policies:
                run(
                    algorithm,
                    dataset,
                    allocation_of(policy, dataset, algorithm, seed),
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
    finally:
        for writer in writers:
            writer.close()
    text = tables.write(folder, FLAGS.budget_unit)
    print(f"\n{text}\nresults: {folder}")
    return folder


def build_dataset(seed: int) -> FederatedDataset:
    """Builds the flagged data set, giving its builder the flags that it takes."""
    builder = DATASETS[FLAGS.dataset]
    if FLAGS.dataset == "titles" and not FLAGS.data_path:
        raise UserError("--dataset=titles reads a CSV file: name it with --data_path")
    names = set(inspect.signature(builder).parameters) - {"key"}
    return builder(jax.random.key(seed), **{name: FLAGS[name].value for name in sorted(names)})


def algorithm_for(dataset: FederatedDataset, execution: str) -> FederatedAlgorithm:
    """Returns the flagged algorithm for a data set; one object for all that look alike."""
    return _build_algorithm(dataset.train.num_classes, dataset.train.inputs.shape[1], execution)


@functools.cache
def _build_algorithm(num_classes: int, length: int, execution: str) -> FederatedAlgorithm:
    """Builds the flagged algorithm; cached, so that seeds and policies share programs."""
    module = MODELS[FLAGS.model](
        # Every word, padding, and out-of-vocabulary.
        num_tokens=num_classes + 2,
        num_classes=num_classes,
        embed_dim=FLAGS.embed_dim,
        hidden=FLAGS.hidden_dim,
        scaler=FLAGS.scaler,
    )
    model = from_linen(module, np.zeros((1, length), np.int32))
    return partial_training(
        model,
        execution=EXECUTIONS[execution],
        order=EXTRACTIONS[FLAGS.extraction](),
        client_optimizer=_CLIENT_OPTIMIZERS[FLAGS.client_optimizer](FLAGS.client_lr),
        server_optimizer=_SERVER_OPTIMIZERS[FLAGS.server_optimizer](FLAGS.server_lr),
        aggregation=FLAGS.aggregation,
        local_epochs=FLAGS.local_epochs,
        batch_size=FLAGS.batch_size,
    )


def allocation_of(
    policy: str, dataset: FederatedDataset, algorithm: FederatedAlgorithm, seed: int
) -> Allocation:
    """Decides the widths of one policy from the training data of one seed."""
    factory = POLICIES[policy]
    return allocate(
        dataset.train,
        algorithm.model,
        policy=factory(numbers("widths")) if policy == "fixed" else factory(),
        score=SCORES[FLAGS.score](),
        key=jax.random.key(seed),
        budget=FLAGS.budget,
        budget_unit=FLAGS.budget_unit,
        budget_projection=FLAGS.budget_projection,
        w_min=FLAGS.w_min,
        w_max=FLAGS.w_max,
        capacities=numbers("capacities") or None,
    )
