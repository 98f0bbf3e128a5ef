"""A run in one call, and what comes of it."""

import dataclasses

import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.simulation.program import executed_share
from hasa_jax.simulation.writers import TABLES
from hasa_jax.supernet.label_rows import present_classes
from tests.simulation.simulated import DATASET, MODEL, OPTIONS, result
from tests.support import small


def test_the_table_has_a_line_for_each_evaluation_and_the_ledger():
    lines = result().table().splitlines()
    assert lines[0].split() == ["round", "mean", "%", "worst", "%", "tail", "%"]
    summary = result().records["summary"]
    assert [line.split() for line in lines[1:-2]] == [
        [
            str(record["round"]),
            *(f"{100 * record[f'{name}_accuracy']:.2f}" for name in ("mean", "worst", "tail")),
        ]
        for record in summary
    ]
    # Always the most frequent training target, by hand.
    train, test = DATASET.train.targets, DATASET.test
    most = np.bincount(train[train >= 0]).argmax()
    own = [np.mean(own == most) for own in np.split(test.targets, test.offsets[1:-1]) if own.size]
    trivial = [f"{100 * value:.2f}" for value in (np.mean(own), min(own), min(own))]
    assert lines[-2].split() == ["majority", *trivial]
    ledger = result().ledger
    assert lines[-1] == (
        f"hasa: budget 0.5 (width); achieved width {ledger.width:.3f}, "
        f"params {ledger.params:.3f}, MACs {ledger.macs:.3f}, bytes {ledger.bytes:.3f}, "
        f"executed {executed_share(result().program, result().trial.allocation):.3f}"
    )
    assert len(lines) == 6


def test_records_are_by_table():
    assert set(result().records) == set(TABLES)
    assert len(result().records["summary"]) == 3
    assert result().state is result().history.state


@pytest.mark.parametrize("client", ["client 1", 1, np.int64(1)])
def test_a_subnet_has_the_accuracy_that_was_recorded(client):
    module, params = result().subnet(client)
    size = int(result().trial.allocation.sizes[1])
    assert module.hidden == size < 6
    variables = {"params": params, "moments": result().moments(client)}
    own = slice(*DATASET.test.offsets[1:3])
    logits = jax.jit(module.apply)(variables, DATASET.test.inputs[own])
    hits = np.argmax(logits, axis=-1) == DATASET.test.targets[own]
    (recorded,) = (
        record["accuracy"]
        for record in result().records["metrics"]
        if (record["round"], record["split"], record["client"]) == (3, "test", "client 1")
    )
    assert hits.mean() == pytest.approx(recorded)


def test_the_ledger_has_what_the_mode_executed():
    assert result().ledger.executed == result().records["summary"][-1]["budget_executed"]
    assert result().ledger.width == result().trial.allocation.ledger.width


def test_classes_among_which_the_recorded_accuracy_chooses():
    assert result().classes("client 1").all()
    found = result()
    hiding = dataclasses.replace(found.program, method=hj.methods.heterofl())
    found = dataclasses.replace(found, program=hiding)
    present = np.asarray(present_classes(DATASET.train))
    assert not present.all()
    np.testing.assert_array_equal([found.classes(name) for name in DATASET.client_names], present)


@pytest.mark.parametrize("client", ["site 9", 4, -1])
def test_an_unknown_client_is_refused(client):
    with pytest.raises(hj.UserError, match=r"no `client` is called .*'client 0', 'client 1'"):
        result().subnet(client)


def test_a_subnet_of_a_window_is_the_one_that_was_trained_and_recorded():
    options = OPTIONS | {"num_rounds": 2}
    method = small.plain(extraction=hj.EXTRACTIONS["rolling"]())
    found = hj.simulate(method, MODEL, DATASET, **options)
    module, params = found.subnet(1)
    own = slice(*DATASET.test.offsets[1:3])
    logits = jax.jit(module.apply)({"params": params}, DATASET.test.inputs[own])
    hits = np.argmax(logits, axis=-1) == DATASET.test.targets[own]
    recorded = [
        record["accuracy"]
        for record in found.records["metrics"]
        if (record["round"], record["split"], record["client"]) == (2, "test", "client 1")
    ]
    assert recorded == [pytest.approx(hits.mean())]
