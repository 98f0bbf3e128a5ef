"""The perceptron in pfl-research: its federated averaging in its simulation, with PyTorch."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import torch
from pfl.aggregate.simulate import SimulatedBackend
from pfl.aggregate.weighting import WeightByDatapoints
from pfl.algorithm.base import NNAlgorithmParams
from pfl.algorithm.federated_averaging import FederatedAveraging
from pfl.callback.base import TrainingProcessCallback
from pfl.data import FederatedDataset
from pfl.data.dataset import Dataset
from pfl.data.sampling import get_user_sampler
from pfl.hyperparam.base import NNEvalHyperParams, NNTrainHyperParams
from pfl.metrics import Metrics, Weighted
from pfl.model.pytorch import PyTorchModel

from benchmarks.peers.batches import load
from benchmarks.peers.pytorch.task import class_loss, networks, tensors
from benchmarks.peers.pytorch.tasks import TASKS

_ROUNDS = 10**9


def run(workload: str, path: str, setting: str, report: Callable[..., None]) -> None:
    """Reports the seconds of rounds.

    Args:
      workload: its name.
      path: file with the batches of a round.
      setting: PyTorch's threads.
      report: takes a function that runs a round and returns its seconds.
    """
    torch.set_num_threads(int(setting))
    batches = load(path)
    network = networks(TASKS[workload], batches)[tuple(batches.full.values())]
    inputs, targets = tensors(batches)
    data = _population(inputs, targets)
    backend = SimulatedBackend(data, data, postprocessors=[WeightByDatapoints()])
    perceptron = _Perceptron(network)
    central = torch.optim.SGD(perceptron.parameters(), lr=1.0)
    model = PyTorchModel(perceptron, torch.optim.SGD, central)
    size = batches.inputs[0].shape[1]
    train = NNTrainHyperParams(local_batch_size=size, local_num_epochs=1, local_learning_rate=0.01)
    # It evaluates in its first round, and never again.
    params = NNAlgorithmParams(_ROUNDS, _ROUNDS, train_cohort_size=len(inputs), val_cohort_size=0)
    algorithm = FederatedAveraging()

    def one_round() -> float:
        began = time.perf_counter()
        algorithm.run(params, backend, model, train, NNEvalHyperParams(size), [_OneRound()])
        return time.perf_counter() - began

    report(one_round)


class _OneRound(TrainingProcessCallback):
    """Stops after each round."""

    def after_central_iteration(
        self, aggregate_metrics: Any, model: Any, *, central_iteration: int
    ) -> tuple[bool, Any]:
        """Says that the round was the last."""
        del aggregate_metrics, model, central_iteration
        return True, Metrics()


class _Perceptron(torch.nn.Module):
    """A network that knows its loss, as pfl wants it.

    Args:
      network: maps features to logits.
    """

    def __init__(self, network: Any):
        super().__init__()
        self.network = network

    def forward(self, inputs: Any) -> Any:
        """Returns logits."""
        return self.network(inputs)

    def loss(self, inputs: Any, targets: Any, eval: bool = False) -> Any:
        """Returns the mean cross-entropy."""
        self.eval() if eval else self.train()
        return class_loss(self.network, inputs, targets)

    @torch.no_grad()
    def metrics(self, inputs: Any, targets: Any) -> dict[str, Any]:
        """Returns the loss, added up over the examples."""
        total = self.loss(inputs, targets, eval=True).item() * len(targets)
        return {"loss": Weighted(total, len(targets))}


def _population(inputs: list[Any], targets: list[Any]) -> Any:
    """Makes users of batches; all of them are drawn once in a round."""
    users = [
        Dataset([own.flatten(0, 1), wanted.flatten()], user_id=str(number))
        for number, (own, wanted) in enumerate(zip(inputs, targets, strict=True))
    ]
    sampler = get_user_sampler("minimize_reuse", list(range(len(users))))
    return FederatedDataset(users.__getitem__, sampler)
