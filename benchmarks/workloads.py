"""The workloads that are timed, built from the library's public parts."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from collections.abc import Callable

import numpy as np
import optax

import hasa_jax as hj
from benchmarks.base import KEY, Engine, Workload
from hasa_jax.simulation.allocating import allocate_clients

_ADAM, _SGD, _MOMENTUM = 3, 1, 2
"""Arrays of the parameters' shapes that a step changes: the parameters and the state. The gradient
does not count: an engine may use it where the product leaves it."""

_ROUNDS = 400
"""Of the studies that a workload stands for: so many amortise a bucket for each size."""

_LEVELS = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16)


def titles(engine: Engine, budget: float = 0.5) -> Workload:
    """Next words of seven publications' titles, by an LSTM; as in `experiments/configs`."""
    model = hj.models.lstm(embed=128, hidden=256)
    return _texts("titles", engine, model, optax.adam(0.01), budget)


def transformer(engine: Engine, budget: float = 0.5) -> Workload:
    """The same titles, by a causal Transformer of two layers."""
    model = hj.models.transformer(embed=128, heads=4, head_dim=32, feedforward=512, layers=2)
    return _texts("transformer", engine, model, optax.adam(0.001), budget)


def mlp(
    engine: Engine, clients: int = 200, clients_per_round: int = 50, steps: int = 5
) -> Workload:
    """A perceptron 784-128-62 at full size: many clients with little work."""
    dataset = _examples(clients, 20 * steps, (784,), num_classes=62)
    model = hj.models.mlp(hidden=128, layers=1)
    return _averaging("mlp", engine, dataset, model, drawn=clients_per_round, rounds=20)


def tiny(engine: Engine, steps: int = 1) -> Workload:
    """Ten clients of a perceptron of ten thousand parameters: what a round itself costs."""
    dataset = _examples(10, 20 * steps, (64,), num_classes=10)
    model = hj.models.mlp(hidden=68, layers=2)
    return _averaging("tiny", engine, dataset, model, drawn=0, rounds=200)


def cnn(engine: Engine, budget: float | None = None) -> Workload:
    """HeteroFL's CNN of 64 to 512 channels; two clients of each of five sizes in a round."""
    return _images("cnn", engine, hj.models.cnn(hidden=64), budget)


def resnet18(engine: Engine, budget: float | None = None) -> Workload:
    """HeteroFL's ResNet-18 on the same images, at the same sizes."""
    return _images("resnet18", engine, hj.models.resnet18(hidden=64), budget)


WORKLOADS: dict[str, Callable[..., Workload]] = {
    "titles": titles,
    "mlp": mlp,
    "cnn": cnn,
    "resnet18": resnet18,
    "transformer": transformer,
    "tiny": tiny,
}
"""Builders `(engine, **options) -> Workload`, by name."""


def _texts(
    name: str,
    engine: Engine,
    model: hj.ModelSpec,
    optimizer: optax.GradientTransformation,
    budget: float,
) -> Workload:
    """Builds a workload of all clients, one epoch of titles each, at a uniform width."""
    uniform = _with_budget(hj.methods.hasa(), budget)
    return _workload(
        name, engine, uniform, model, _read_titles(), optimizer, 32, 0, _ADAM, rounds=2
    )


def _averaging(
    name: str,
    engine: Engine,
    dataset: hj.FederatedDataset,
    model: hj.ModelSpec,
    *,
    drawn: int,
    rounds: int,
) -> Workload:
    """Builds a workload of federated averaging by plain SGD, without norms."""
    method = dataclasses.replace(hj.methods.fedavg(), norm="none")
    return _workload(name, engine, method, model, dataset, optax.sgd(0.01), 20, drawn, _SGD, rounds)


def _images(name: str, engine: Engine, model: hj.ModelSpec, budget: float | None) -> Workload:
    """Builds HeteroFL on images: 100 clients, ten a round, 20 steps of ten images each."""
    method = hj.methods.heterofl(levels=_LEVELS)
    if budget is not None:
        method = _with_budget(method, budget)
    dataset = _examples(100, 200, (32, 32, 3), num_classes=10)
    optimizer = optax.sgd(0.01, momentum=0.9)
    return _workload(name, engine, method, model, dataset, optimizer, 10, 10, _MOMENTUM, rounds=1)


def _with_budget(method: hj.Method, budget: float) -> hj.Method:
    """Returns a method with one width for all clients, at any budget."""
    return dataclasses.replace(
        method,
        policy=hj.POLICIES["uniform"](),
        budget=hj.BudgetSpec(budget, w_min=min(0.2, budget), w_max=max(0.8, budget)),
    )


def _workload(
    name: str,
    engine: Engine,
    method: hj.Method,
    model: hj.ModelSpec,
    dataset: hj.FederatedDataset,
    optimizer: optax.GradientTransformation,
    batch_size: int,
    drawn: int,
    optimizer_arrays: int,
    rounds: int,
) -> Workload:
    """Builds a workload in sliced execution."""
    program = hj.make_program(
        method,
        model,
        dataset,
        client_optimizer=optimizer,
        training=hj.Training(batch_size=batch_size),
        execution=hj.Execution("sliced", engine.client_block, engine.mesh),
        num_rounds=_ROUNDS,
    )
    allocation = allocate_clients(method, program.model, dataset, KEY)
    return Workload(
        name, program, hj.Trial(dataset, allocation, KEY), drawn, optimizer_arrays, rounds
    )


def _read_titles() -> hj.FederatedDataset:
    """Reads the titles under `HASA_DATA_DIR`, or makes as many synthetic ones."""
    limits = {"vocab_size": 3000, "min_count": 2}
    folder = os.environ.get("HASA_DATA_DIR")
    if not folder:
        return hj.DATASETS["synthetic_titles"](KEY, num_titles=6492, **limits)
    path = pathlib.Path(folder) / "medium" / "medium_data.csv"
    return hj.DATASETS["titles"](KEY, data_path=path, **limits)


def _examples(
    clients: int, each: int, shape: tuple[int, ...], num_classes: int
) -> hj.FederatedDataset:
    """Draws equally many examples for every client; their content does not matter to time."""
    generator = np.random.default_rng(0)
    total = clients * each
    inputs = generator.standard_normal((total, *shape), dtype=np.float32)
    targets = generator.integers(0, num_classes, total, dtype=np.int32)
    offsets = np.arange(0, total + 1, each, dtype=np.int32)
    data = hj.ClientData(inputs, targets, offsets, num_classes)
    names = tuple(f"client {number}" for number in range(clients))
    return hj.FederatedDataset(data, data, data, names)
