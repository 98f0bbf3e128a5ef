"""The perceptron in FedJAX: its federated averaging, over clients drawn by its sampler."""

# pyright: reportMissingImports=false
from __future__ import annotations

import os
import time
from collections.abc import Callable
from typing import Any

import fedjax
import haiku
import jax

from benchmarks import processes
from benchmarks.peers.batches import Batches, check_parameters, load


def run(workload: str, path: str, setting: str, report: Callable[..., None]) -> None:
    """Reports the seconds of rounds.

    Args:
      workload: its name.
      path: file with the batches of a round.
      setting: FedJAX's backend: `jit` runs one client after the other, `pmap` a client on each
        device, here one a core.
      report: takes a function that runs a round and returns its seconds.
    """
    del workload  # There is one.
    if setting == "pmap":
        # Read when JAX first looks for devices, below.
        os.environ["XLA_FLAGS"] = f"--xla_force_host_platform_device_count={processes.cores()}"
    batches = load(path)
    model = _model(batches)
    fedjax.set_for_each_client_backend(setting)
    algorithm = fedjax.algorithms.fed_avg.federated_averaging(
        fedjax.model_grad(model),
        client_optimizer=fedjax.optimizers.sgd(0.01),
        server_optimizer=fedjax.optimizers.sgd(1.0),
        client_batch_hparams=fedjax.ShuffleRepeatBatchHParams(
            batch_size=batches.inputs[0].shape[1], num_epochs=1
        ),
    )
    clients = {
        str(number): {"x": inputs.reshape(-1, inputs.shape[-1]), "y": targets.reshape(-1)}
        for number, (inputs, targets) in enumerate(
            zip(batches.inputs, batches.targets, strict=True)
        )
    }
    sampler = fedjax.client_samplers.UniformGetClientSampler(
        fedjax.InMemoryFederatedData(clients), num_clients=len(clients), seed=0
    )
    state = algorithm.init(model.init(jax.random.PRNGKey(0)))
    count = sum(leaf.size for leaf in jax.tree_util.tree_leaves(state.params))
    check_parameters(batches.full, count, batches.full_parameters)

    def one_round() -> float:
        nonlocal state
        began = time.perf_counter()
        state, _ = algorithm.apply(state, sampler.sample())
        jax.block_until_ready(state.params)
        return time.perf_counter() - began

    report(one_round)


def _model(batches: Batches) -> Any:
    """Makes the perceptron as FedJAX's own dense model is made."""

    def forward(batch: Any) -> Any:
        hidden, classes = batches.full["hidden/0"], batches.num_classes
        layers = [haiku.Linear(hidden), jax.nn.relu, haiku.Linear(classes)]
        return haiku.Sequential(layers)(batch["x"])

    example = {"x": batches.inputs[0][0], "y": batches.targets[0][0]}
    return fedjax.create_model_from_haiku(
        transformed_forward_pass=haiku.transform(forward),
        sample_batch=example,
        train_loss=lambda batch, outputs: fedjax.metrics.unreduced_cross_entropy_loss(
            batch["y"], outputs
        ),
    )
