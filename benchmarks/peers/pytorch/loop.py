"""A plain PyTorch loop over truly narrow clients: cut, train, average."""

# pyright: reportMissingImports=false
from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import torch

from benchmarks.peers.batches import Batches, load
from benchmarks.peers.pytorch.averaging import State, averaged, cut
from benchmarks.peers.pytorch.task import Task, networks, tensors
from benchmarks.peers.pytorch.tasks import TASKS


def run(workload: str, path: str, setting: str, report: Callable[..., None]) -> None:
    """Reports the seconds of rounds.

    Args:
      workload: its name.
      path: file with the batches of a round.
      setting: PyTorch's threads.
      report: takes a function that runs a round and returns its seconds.
    """
    run_task(TASKS[workload], path, setting, report)


def run_task(task: Task, path: str, setting: str, report: Callable[..., None]) -> None:
    """Reports the seconds of rounds, as `run` does.

    Args:
      task: what is trained.
      path: file with the batches of a round.
      setting: PyTorch's threads.
      report: takes a function that runs a round and returns its seconds.
    """
    torch.set_num_threads(int(setting))
    batches = load(path)
    # Networks are built once for each size: to initialise them is no part of a round.
    built, data = networks(task, batches), tensors(batches)
    full = built[tuple(batches.full.values())]
    state = {name: value.clone() for name, value in full.state_dict().items()}

    def one_round() -> float:
        began = time.perf_counter()
        averaged(state, _trained(state, task, batches, built, data))
        return time.perf_counter() - began

    report(one_round)


def train(network: Any, task: Task, inputs: Any, targets: Any) -> None:
    """Trains a network, a step for each batch.

    Args:
      network: is changed.
      task: has the optimizer and the loss.
      inputs: batches `[S, B, ...]`.
      targets: batches `[S, B]` or `[S, B, T]`.
    """
    network.train()
    optimizer = task.optimizer(each for each in network.parameters() if each.requires_grad)
    for batch, wanted in zip(inputs, targets, strict=True):
        optimizer.zero_grad(set_to_none=True)
        task.loss(network, batch, wanted).backward()
        optimizer.step()


def _trained(
    state: State,
    task: Task,
    batches: Batches,
    built: dict[tuple[int, ...], Any],
    data: tuple[list[Any], list[Any]],
) -> Iterator[tuple[State, float]]:
    """Trains one client after the other; yields the state and the weight of each."""
    for kept, weight, inputs, targets in zip(batches.kept, batches.weights, *data, strict=True):
        network = built[tuple(kept.values())]
        network.load_state_dict(cut(state, network.state_dict()))
        train(network, task, inputs, targets)
        yield network.state_dict(), weight
