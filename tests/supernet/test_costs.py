"""What a client of each method pays, counted by hand."""

import dataclasses

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


def test_bytes_of_units_by_hand():
    """A client of 5 of 12 units also has 4 of 8; it gets and sends 4 bytes a parameter."""
    model, extraction = small.mlp(), EXTRACTIONS["prefix"]()
    count = 4 * 5 + 5 + 5 * 4 + 4 + 4 * 5 + 5
    shape = extraction.shape(model, 5)
    assert costs.bytes_down(model, extraction, shape) == 4 * count
    assert costs.bytes_up(model, extraction, shape) == 4 * count
    full = 4 * 12 + 12 + 12 * 8 + 8 + 8 * 5 + 5
    assert costs.cost_table(model, extraction, "bytes")[5] == pytest.approx(count / full)


def test_bytes_of_a_part_that_the_clients_data_decide():
    """The server sends the supernet; the client says which parts it kept, a bit for each."""
    model, full = small.mlp(), 209
    units_kept = EXTRACTIONS["neuron_importance"](measure="fisher")
    shape = units_kept.shape(model, 5)
    assert costs.bytes_down(model, units_kept, shape) == 4 * full
    assert costs.bytes_up(model, units_kept, shape) == 4 * 74 + 3  # 20 units
    single = EXTRACTIONS["importance"](measure="fisher")
    (kept,) = dict(single.shape(model, 5).kept).values()
    assert costs.bytes_up(model, single, single.shape(model, 5)) == 4 * kept + 27  # 209 bits
    # By magnitude the server knows the mask from what it sent.
    known = EXTRACTIONS["importance"]()
    assert costs.bytes_up(model, known, known.shape(model, 5)) == 4 * kept
    assert costs.bytes_down(model, known, known.shape(model, 5)) == 4 * kept


def test_norms_are_sent_but_count_apart():
    model = small.perceptron(norm="batch")
    norms = 4 * 9  # Gain and bias of two layers of 9.
    total = costs.parameter_count(model, model.groups)
    extraction = EXTRACTIONS["importance"](levels=(1.0, 0.1))
    assert costs.uncut_share(model, extraction) == pytest.approx(norms / total)
    shape = extraction.shape(
        model, int(np.argmin(np.abs(costs.cost_table(model, extraction, "params") - 0.1)))
    )
    assert dict(shape.kept)["model"] == int(0.1 * (total - norms))
    assert costs.bytes_down(model, extraction, shape) == 4 * (int(0.1 * (total - norms)) + norms)
    assert costs.uncut_share(model, EXTRACTIONS["prefix"]()) == 0


def test_masked_execution_computes_every_pass_at_full_size():
    model = small.mlp()
    assert costs.masked_macs(model, EXTRACTIONS["prefix"]()) == 1
    assert costs.masked_macs(model, EXTRACTIONS["ordered_dropout"](teacher=True)) == 2


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


@pytest.mark.parametrize("unit", [*costs.BUDGET_UNITS, "executed"])
def test_sizes_at_once_cost_what_each_of_them_does(unit):
    model = small.mlp(first=40, second=30)
    plain = EXTRACTIONS["prefix"]()
    one_by_one = dataclasses.replace(plain, shape=lambda model, size: units.by_width(model, size))
    expected = costs.cost_table(model, one_by_one, unit)
    assert np.array_equal(costs.cost_table(model, plain, unit), expected)


def test_sizes_are_counted_from_three_traces():
    model = small.cnn(stage1=32, stage2=32, stage3=16, stage4=64)
    before = costs._product_macs.cache_info().misses
    table = costs.cost_table(model, EXTRACTIONS["prefix"](), "macs")
    assert costs._product_macs.cache_info().misses == before + 3
    full = costs.mac_count(model, model.groups)
    for size in (2, 29, 63):
        assert table[size] == macs(model, size) / full


class Squared(nn.Module):
    """The product of its units with each other and a constant is no `c k`."""

    hidden: int = 40

    @nn.compact
    def __call__(self, x):
        init = nn.with_logical_partitioning(nn.initializers.ones, (None, "hidden"))
        hidden = x @ self.param("kernel", init, (x.shape[-1], self.hidden))
        more = jax.numpy.concatenate([hidden, jax.numpy.ones((len(x), 3))], axis=1)
        return (more * more.sum(1, keepdims=True)) @ more.T


def test_products_that_are_no_products_of_units_are_traced_for_each_size():
    model = supernet_of(Squared(), np.zeros((1, 2), np.float32))
    sizes = np.arange(1, 41)
    assert costs._macs_by_products(model, {"hidden": sizes}, 1, False) is None
    expected = [2 * k + (k + 3) for k in sizes]
    table = costs.cost_table(model, EXTRACTIONS["prefix"](), "macs")
    np.testing.assert_array_equal(table[1:], np.array(expected) / expected[-1])


@pytest.mark.parametrize("full", [{"a": 512, "b": 512, "c": 256}, {"a": 2, "b": 2, "c": 3}, {}])
def test_subnets_show_every_pair_of_fields(full):
    subnets, pairs = costs._distinct_subnets(full)
    assert len(subnets) == 1 or full == {"a": 2, "b": 2, "c": 3}
    assert len(pairs) == (len(full) + 1) * (len(full) + 2) // 2
    for shares, pair in pairs.items():
        for subnet, share in zip(subnets, shares, strict=True):
            assert float(share) == pytest.approx(
                np.prod([subnet[field] / full[field] for field in pair])
            )
            assert all(1 <= subnet[field] <= full[field] for field in full)
