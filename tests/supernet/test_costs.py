"""What a client of each method pays, counted by hand."""

import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.supernet import costs, units
from tests.support import small


def macs(model, kept, exits=None, *, all_exits=False):
    sizes = units.sizes_of_units(model.groups, kept)
    return costs.mac_count(model, sizes, exits, all_exits=all_exits)


def test_capacity_is_compared_in_the_unit_that_it_is_stated_in():
    """Half the width is less than half the parameters or MACs: none stands for another."""
    model = small.mlp(first=256, second=128)
    extraction = hj.EXTRACTIONS["prefix"]()
    data = small.client_data(sizes=(10, 10))
    reached = {}
    for unit in costs.BUDGET_UNITS:
        allocation = hj.allocate(
            data, model, policy=hj.POLICIES["uniform"](), scores=np.zeros(2), key=None,
            budget=0.5, budget_unit=unit, extraction=extraction,
        )  # fmt: skip
        assert getattr(allocation.ledger, unit) == pytest.approx(0.5, abs=0.01)
        reached[unit] = allocation.widths.mean()
    assert reached["width"] < reached["params"] < 0.8
    assert reached["width"] < reached["macs"] < 0.8


def test_ordered_dropout_pays_the_mean_of_its_draws():
    model = small.mlp()
    extraction = hj.EXTRACTIONS["ordered_dropout"](levels=(0.25, 0.5, 1.0))
    table = costs.cost_table(model, extraction, "macs")
    expected = np.mean([macs(model, kept) for kept in (3, 6, 8)])
    assert table[8] == pytest.approx(expected / macs(model, 12))
    np.testing.assert_array_equal(
        costs.cost_table(model, extraction, "params"),
        costs.cost_table(model, hj.EXTRACTIONS["prefix"](), "params"),
    )
    taught = hj.EXTRACTIONS["ordered_dropout"](levels=(0.25, 0.5, 1.0), teacher=True)
    expected += macs(model, 8)
    assert costs.cost_table(model, taught, "macs")[8] == pytest.approx(expected / macs(model, 12))


def test_depth_pays_for_every_head_that_it_trains():
    model = small.perceptron(**small.TWO_EXITS)
    assert macs(model, 9, 1) == 6 * 9 + 9 * 5
    assert macs(model, 9, 2) == 6 * 9 + 9 * 9 + 9 * 5
    assert macs(model, 9, 2, all_exits=True) == macs(model, 9, 2) + 9 * 5
    shallow = costs.parameter_count(model, model.groups, 1)
    assert shallow == 6 * 9 + 9 + 9 * 5 + 5
    table = costs.cost_table(model, hj.EXTRACTIONS["depth_width"](), "macs")
    assert table[9] == pytest.approx(macs(model, 9, 2, all_exits=True) / macs(model, 9, 2))


def test_single_parameters_are_nominal_and_execute_everything():
    model = small.mlp()
    extraction = hj.EXTRACTIONS["importance"]()
    whole = costs.parameter_count(model, model.groups)
    for unit in ("params", "macs"):
        table = costs.cost_table(model, extraction, unit)
        half = costs.parameter_count(model, units.sizes_of_units(model.groups, 6))
        assert table[6] == pytest.approx(half / whole, abs=1.0 / whole)
    assert (costs.cost_table(model, extraction, "executed")[1:] == 1).all()
