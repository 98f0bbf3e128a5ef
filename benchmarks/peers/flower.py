"""HeteroFL's CNN and the perceptron in Flower's simulation engine, with clients in PyTorch."""

# pyright: reportMissingImports=false, reportUntypedBaseClass=false
from __future__ import annotations

import functools
import logging
import time
from collections.abc import Callable, Iterable
from typing import Any

import torch
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from flwr.simulation import run_simulation

from benchmarks import processes
from benchmarks.peers.batches import Batches, load
from benchmarks.peers.pytorch.averaging import averaged, cut
from benchmarks.peers.pytorch.loop import train
from benchmarks.peers.pytorch.task import networks, tensors
from benchmarks.peers.pytorch.tasks import TASKS


def run(workload: str, path: str, setting: str, report: Callable[..., None]) -> None:
    """Reports the seconds of rounds: runs of Flower's strategy of one round each.

    Args:
      workload: its name.
      path: file with the batches of a round.
      setting: PyTorch's threads of a client, which are also its cores: so many clients run at
        once as the machine has cores for.
      report: takes a function that runs a round and returns its seconds.
    """
    logging.getLogger("flwr").setLevel(logging.ERROR)
    batches, cores = load(path), processes.cores()
    config = {"workload": workload, "batches": path, "threads": int(setting)}
    server = ServerApp()

    @server.main()
    def main(grid: Any, context: Context) -> None:
        del context
        task, everyone = TASKS[workload], len(batches.inputs)
        full = networks(task, batches)[tuple(batches.full.values())]
        arrays = ArrayRecord(full.state_dict())
        nodes = {"min_train_nodes": everyone, "min_available_nodes": everyone}
        if all(kept == batches.full for kept in batches.kept):
            strategy = FedAvg(**nodes, fraction_evaluate=0.0)
        else:
            strategy = _HeteroFL(batches, workload, **nodes, fraction_evaluate=0.0)

        def one_round() -> float:
            nonlocal arrays
            began = time.perf_counter()
            record = ConfigRecord(config)
            arrays = strategy.start(grid, arrays, num_rounds=1, train_config=record).arrays
            return time.perf_counter() - began

        report(one_round)

    resources = {"num_cpus": int(setting), "num_gpus": 0.0}
    backend = {"client_resources": resources, "init_args": {"num_cpus": cores}}
    run_simulation(server, _client, num_supernodes=len(batches.inputs), backend_config=backend)


_client = ClientApp()


@_client.train()
def _train(message: Message, context: Context) -> Message:
    """Trains the network of a client."""
    config = message.content["config"]
    torch.set_num_threads(config["threads"])
    batches, inputs, targets = _data(config["batches"])
    client = int(config.get("client", context.node_config["partition-id"]))
    task = TASKS[config["workload"]]
    network = task.build(batches.kept[client], batches)
    network.load_state_dict(message.content["arrays"].to_torch_state_dict())
    train(network, task, inputs[client], targets[client])
    metrics = {"num-examples": targets[client].numel(), "weight": batches.weights[client]}
    content = {"arrays": ArrayRecord(network.state_dict()), "metrics": MetricRecord(metrics)}
    return Message(RecordDict(content), reply_to=message)


@functools.cache
def _data(path: str) -> tuple[Batches, list[Any], list[Any]]:
    """Reads the batches once for each of Flower's workers."""
    batches = load(path)
    return batches, *tensors(batches)


class _HeteroFL(FedAvg):
    """Sends every client its subnet, and averages over the clients that hold an entry.

    Args:
      batches: have what each client keeps.
      workload: its name.
      **options: of Flower's strategy.
    """

    def __init__(self, batches: Batches, workload: str, **options: Any):
        super().__init__(**options)
        built = networks(TASKS[workload], batches)
        self.shapes = [built[tuple(kept.values())].state_dict() for kept in batches.kept]
        self.state: dict[str, Any] = {}

    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Any
    ) -> Iterable[Message]:
        """Cuts the subnet of each client out of the supernet."""
        self.state = arrays.to_torch_state_dict()
        messages = super().configure_train(server_round, arrays, config, grid)
        for client, message in enumerate(messages):
            own = ConfigRecord({**config, "client": client})
            subnet = ArrayRecord(cut(self.state, self.shapes[client]))
            message.content = RecordDict({"arrays": subnet, "config": own})
        return messages

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord, MetricRecord]:
        """Averages what the clients have trained."""
        del server_round
        contents = [reply.content for reply in replies]
        trained = (
            (content["arrays"].to_torch_state_dict(), content["metrics"]["weight"])
            for content in contents
        )
        return ArrayRecord(averaged(self.state, trained)), MetricRecord()
