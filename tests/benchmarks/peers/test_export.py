"""The file of batches: what a peer reads is what this library trains on."""

import numpy as np
import pytest

from benchmarks import workloads
from benchmarks.base import Engine, clients_of
from benchmarks.peers import batches, export


def exported(workload, folder):
    export.write(workload, folder / "batches.npz")
    return batches.load(folder / "batches.npz")


def test_examples(tmp_path):
    workload = workloads.mlp(Engine(), clients=6, clients_per_round=3, steps=2)
    found = exported(workload, tmp_path)
    train, clients = workload.train, clients_of(workload, 0)
    assert [own.shape for own in found.inputs] == [(2, 20, 784)] * 3
    for client, inputs, targets in zip(clients, found.inputs, found.targets, strict=True):
        rows = slice(40 * client, 40 * client + 40)
        np.testing.assert_array_equal(inputs.reshape(40, 784), train.inputs[rows])
        np.testing.assert_array_equal(targets.ravel(), train.targets[rows])
    assert found.kept == [{"hidden/0": 128}] * 3
    assert found.parameters == [784 * 128 + 128 + 128 * 62 + 62] * 3
    assert found.full_parameters == found.parameters[0]
    assert found.weights == [40.0] * 3
    assert (found.num_classes, found.num_tokens) == (62, 0)


def test_sizes(tmp_path):
    found = exported(workloads.titles(Engine(), budget=0.5), tmp_path)
    words, tokens = found.num_classes, found.num_tokens
    assert found.full == {"hidden": 256}
    assert found.kept == [{"hidden": 128}] * 7
    gates = 4 * (128 * 128 + 128 * 128 + 128)
    assert found.parameters == [128 * tokens + gates + 128 * words + words] * 7
    gates = 4 * (128 * 256 + 256 * 256 + 256)
    assert found.full_parameters == 128 * tokens + gates + 256 * words + words


def test_the_last_batch_of_a_client_is_filled_without_targets(tmp_path):
    workload = workloads.titles(Engine())
    found = exported(workload, tmp_path)
    for client, targets in zip(clients_of(workload, 0), found.targets, strict=True):
        count = int(workload.train.num_examples[client])
        flat = targets.reshape(-1, targets.shape[-1])
        assert 0 <= len(flat) - count < targets.shape[1]
        assert np.all(flat[count:] < 0)
    assert found.num_tokens > found.num_classes


def test_another_network_is_refused():
    batches.check_parameters({"hidden": 3}, 12, 12)
    with pytest.raises(ValueError, match=r"11 parameters at \{'hidden': 3\}, but this library has"):
        batches.check_parameters({"hidden": 3}, 11, 12)
