"""The workloads that are timed, built from the library's public parts."""

from __future__ import annotations

import os
import pathlib
from collections.abc import Callable
from typing import Any

import flax.linen as nn
import numpy as np
import optax

import hasa_jax as hj
from benchmarks.base import KEY, Engine, Workload
from hasa_jax.client import batches
from hasa_jax.methods import method as methods

ADAM_PASSES, SGD_PASSES, MOMENTUM_PASSES = 7, 3, 5
"""Passes over the parameters in an optimizer's step: what it reads and what it writes."""

_LEVELS = (1.0, 1 / 2, 1 / 4, 1 / 8, 1 / 16)


def titles(engine: Engine, budget: float = 0.5) -> Workload:
    """Next words of seven publications' titles, by an LSTM; as in `experiments/configs`."""
    dataset = _read_titles()
    module = hj.MODELS["lstm"](dataset.num_tokens, dataset.train.num_classes)
    return _texts("titles", engine, dataset, module, optax.adam(0.01), budget)


def transformer(engine: Engine, budget: float = 0.5) -> Workload:
    """The same titles, by a causal Transformer of two layers."""
    dataset = _read_titles()
    module = hj.MODELS["transformer"](
        dataset.num_tokens,
        dataset.train.num_classes,
        embed=128,
        heads=4,
        head_dim=32,
        feedforward=512,
        layers=2,
        max_length=dataset.train.inputs.shape[1],
    )
    return _texts("transformer", engine, dataset, module, optax.adam(0.001), budget)


def mlp(
    engine: Engine, clients: int = 200, clients_per_round: int = 50, steps: int = 5
) -> Workload:
    """A perceptron 784-128-62, whole for everybody: many clients with little to do."""
    train = _examples(clients, 20 * steps, (784,), num_classes=62)
    module = hj.MODELS["mlp"](num_classes=62, hidden=128, layers=1)
    return _whole("mlp", engine, train, module, batch_size=20, drawn=clients_per_round, rounds=20)


def tiny(engine: Engine, steps: int = 1) -> Workload:
    """Ten clients of a perceptron of ten thousand parameters: what a round itself costs."""
    train = _examples(10, 20 * steps, (64,), num_classes=10)
    module = hj.MODELS["mlp"](num_classes=10, hidden=68, layers=2)
    return _whole("tiny", engine, train, module, batch_size=20, drawn=0, rounds=200)


def cnn(engine: Engine, budget: float | None = None) -> Workload:
    """HeteroFL's CNN of 64 to 512 channels; two clients of each of five sizes in a round."""
    return _images("cnn", engine, budget)


def resnet18(engine: Engine, budget: float | None = None) -> Workload:
    """HeteroFL's ResNet-18 on the same images, at the same sizes."""
    return _images("resnet18", engine, budget)


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
    dataset: hj.FederatedDataset,
    module: nn.Module,
    optimizer: optax.GradientTransformation,
    budget: float,
) -> Workload:
    """Builds a workload of all clients, one epoch of titles each, at a uniform width."""
    train = dataset.train
    algorithm = hj.partial_training(
        hj.from_linen(module, train.inputs),
        client_optimizer=optimizer,
        batch_size=32,
        client_block=engine.client_block,
        devices=engine.devices,
        positions=batches.usual_positions(train, 32),
    )
    allocation = _uniform(algorithm, train, budget)
    return Workload(name, algorithm, train, allocation, "examples", 0, ADAM_PASSES, rounds=2)


def _whole(
    name: str,
    engine: Engine,
    train: hj.ClientData,
    module: nn.Module,
    *,
    batch_size: int,
    drawn: int,
    rounds: int,
) -> Workload:
    """Builds a workload of federated averaging by plain SGD."""
    method = hj.METHODS["fedavg"]
    algorithm = methods.build(
        method,
        hj.from_linen(module, train.inputs),
        client_optimizer=optax.sgd(0.01),
        batch_size=batch_size,
        client_block=engine.client_block,
        devices=engine.devices,
    )
    allocation = _unbudgeted(algorithm, train, hj.UNBUDGETED[method.policy]())
    weights = method.client_weights
    return Workload(name, algorithm, train, allocation, weights, drawn, SGD_PASSES, rounds)


def _images(name: str, engine: Engine, budget: float | None) -> Workload:
    """Builds HeteroFL on images: 100 clients, ten a round, 20 steps of ten images each."""
    method = hj.METHODS["heterofl"]
    train = _examples(100, 200, (32, 32, 3), num_classes=10)
    module = hj.MODELS[name](train.num_classes, norm=method.norm, scaler=method.scaler)
    algorithm = methods.build(
        method,
        hj.from_linen(module, train.inputs),
        client_optimizer=optax.sgd(0.01, momentum=0.9),
        batch_size=10,
        client_block=engine.client_block,
        devices=engine.devices,
    )
    if budget is None:
        allocation = _unbudgeted(algorithm, train, hj.UNBUDGETED["levels"](_LEVELS))
    else:
        allocation = _uniform(algorithm, train, budget)
    weights = method.client_weights
    return Workload(name, algorithm, train, allocation, weights, 10, MOMENTUM_PASSES, rounds=1)


def _uniform(
    algorithm: hj.FederatedAlgorithm, train: hj.ClientData, budget: float
) -> hj.Allocation:
    """Allocates one width to everybody, as wide or narrow as the budget says."""
    return hj.allocate(
        train,
        algorithm.model,
        policy=hj.POLICIES["uniform"](),
        scores=np.zeros(train.num_clients),
        key=KEY,
        extraction=algorithm.extraction,
        budget=budget,
        w_min=min(0.2, budget),
        w_max=max(0.8, budget),
    )


def _unbudgeted(
    algorithm: hj.FederatedAlgorithm, train: hj.ClientData, policy: Any
) -> hj.Allocation:
    """Allocates the widths of a policy that follows no budget."""
    scores = np.zeros(train.num_clients)
    return hj.allocate(
        train,
        algorithm.model,
        policy=policy,
        scores=scores,
        key=KEY,
        extraction=algorithm.extraction,
        budgeted=False,
        w_max=1.0,
    )


def _read_titles() -> hj.FederatedDataset:
    """Reads the titles under `HASA_DATA_DIR`, or invents as many of them."""
    limits = {"vocab_size": 3000, "min_count": 2}
    folder = os.environ.get("HASA_DATA_DIR")
    if not folder:
        return hj.DATASETS["synthetic_titles"](KEY, num_titles=6492, **limits)
    path = pathlib.Path(folder) / "medium" / "medium_data.csv"
    return hj.DATASETS["titles"](KEY, data_path=path, **limits)


def _examples(clients: int, each: int, shape: tuple[int, ...], num_classes: int) -> hj.ClientData:
    """Draws equally many examples for every client; what they show does not matter to time."""
    generator = np.random.default_rng(0)
    total = clients * each
    inputs = generator.standard_normal((total, *shape), dtype=np.float32)
    targets = generator.integers(0, num_classes, total, dtype=np.int32)
    offsets = np.arange(0, total + 1, each, dtype=np.int32)
    return hj.ClientData(inputs, targets, offsets, num_classes)
