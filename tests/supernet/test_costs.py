"""What a client of each method pays, counted by hand."""

import flax.linen as nn
import jax
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.base import UserError
from hasa_jax.extraction import EXTRACTIONS
from hasa_jax.supernet import costs, units
from hasa_jax.supernet.linen import supernet_of
from tests.support import small


def macs(model, size, exits=None, *, all_exits=False):
    kept = units.kept_of_size(model.groups, size)
    return costs.mac_count(model, kept, exits, all_exits=all_exits)


def test_a_budget_is_compared_in_the_unit_that_it_is_stated_in():
    """Half the width is less than half the parameters or MACs."""
    model = small.mlp(first=256, second=128)
    data = small.client_data(sizes=(10, 10))
    reached = {}
    for unit in costs.BUDGET_UNITS:
        allocation = hj.allocate(
            data,
            model,
            policy=hj.POLICIES["uniform"](),
            key=jax.random.key(0),
            budget=hj.BudgetSpec(target=0.5, unit=unit),
            extraction=EXTRACTIONS["prefix"](),
        )
        assert getattr(allocation.ledger, unit) == pytest.approx(0.5, abs=0.01)
        reached[unit] = allocation.widths.mean()
    assert reached["width"] < reached["params"] < 0.8
    assert reached["width"] < reached["macs"] < 0.8


def test_ordered_dropout_pays_the_mean_of_its_draws():
    model = small.mlp()
    extraction = EXTRACTIONS["ordered_dropout"](levels=(0.25, 0.5, 1.0))
    table = costs.cost_table(model, extraction, "macs")
    expected = np.mean([macs(model, size) for size in (3, 6, 8)])
    assert table[8] == pytest.approx(expected / macs(model, 12))
    np.testing.assert_array_equal(
        costs.cost_table(model, extraction, "params"),
        costs.cost_table(model, EXTRACTIONS["prefix"](), "params"),
    )
    taught = EXTRACTIONS["ordered_dropout"](levels=(0.25, 0.5, 1.0), teacher=True)
    expected += macs(model, 8)
    assert costs.cost_table(model, taught, "macs")[8] == pytest.approx(expected / macs(model, 12))


def test_draws_of_ordered_dropout_cost_what_their_own_width_keeps():
    """Of 96 and 64 units .2 keeps 20 and 13: 4 * 20 + 20 * 13 + 13 * 5 = 405 MACs."""
    model = small.mlp(first=96, second=64)
    extraction = EXTRACTIONS["ordered_dropout"](levels=(0.2, 1.0))
    full = 4 * 96 + 96 * 64 + 64 * 5
    found = costs.cost_table(model, extraction, "macs")[96]
    assert found == pytest.approx((405 + full) / 2 / full)


def test_depth_pays_for_every_head_that_it_trains():
    model = small.perceptron(**small.TWO_EXITS)
    assert macs(model, 9, 1) == 6 * 9 + 9 * 5
    assert macs(model, 9, 2) == 6 * 9 + 9 * 9 + 9 * 5
    assert macs(model, 9, 2, all_exits=True) == macs(model, 9, 2) + 9 * 5
    shallow = costs.parameter_count(model, model.groups, 1)
    assert shallow == 6 * 9 + 9 + 9 * 5 + 5
    table = costs.cost_table(model, EXTRACTIONS["depth_width"](), "macs")
    assert table[9] == pytest.approx(macs(model, 9, 2, all_exits=True) / macs(model, 9, 2))


def test_macs_of_single_parameters_are_nominal_and_all_are_executed():
    model = small.mlp()
    extraction = EXTRACTIONS["importance"]()
    full = costs.parameter_count(model, model.groups)
    for unit in ("params", "macs"):
        table = costs.cost_table(model, extraction, unit)
        half = costs.parameter_count(model, units.kept_of_size(model.groups, 6))
        assert table[6] == pytest.approx(half / full, abs=1.0 / full)
    assert (costs.cost_table(model, extraction, "executed")[1:] == 1).all()


@pytest.mark.parametrize("name", ["prefix", "importance"])
def test_executed_is_known_but_no_unit_of_a_budget(name):
    model = small.mlp()
    extraction = EXTRACTIONS[name]()
    assert "executed" not in costs.BUDGET_UNITS
    executed = costs.cost_table(model, extraction, "executed")
    expected = [macs(model, size) / macs(model, 12) for size in range(1, 13)]
    np.testing.assert_array_equal(executed[1:], expected if name == "prefix" else np.ones(12))
    with pytest.raises(UserError, match="unknown budget unit 'flops': use one of width, params"):
        costs.cost_table(model, extraction, "flops")


class Looping(nn.Module):
    hidden: int = 8

    @nn.compact
    def __call__(self, x):
        kernel = nn.with_logical_partitioning(nn.initializers.ones, (None, "hidden"))
        x = nn.Dense(self.hidden, kernel_init=kernel, use_bias=False)(x)
        return jax.lax.while_loop(lambda y: y.sum() < 0, lambda y: y + 1, x)


def test_macs_refuse_loops_of_unknown_length():
    model = supernet_of(Looping(), np.zeros((1, 3), np.float32))
    with pytest.raises(UserError, match="while_loop"):
        costs.cost_table(model, EXTRACTIONS["prefix"](), "macs")


def test_a_group_of_one_unit_is_legal():
    model = small.mlp(first=1, second=12)
    assert costs.cost_table(model, EXTRACTIONS["prefix"](), "macs")[-1] == 1


def test_lstm_macs_by_hand():
    model = small.lstm(hidden=16)
    steps, embed, hidden, classes = small.LENGTH, 4, 10, small.NUM_CLASSES
    expected = steps * (embed * 4 * hidden + hidden * 4 * hidden + hidden * classes)
    assert costs.mac_count(model, {"hidden": hidden}) == expected
    uncut = (small.NUM_CLASSES + 2) * embed
    cut = embed * 4 * hidden + hidden * 4 * hidden + 4 * hidden + hidden * classes + classes
    assert costs.parameter_count(model, {"hidden": hidden}) == uncut + cut
