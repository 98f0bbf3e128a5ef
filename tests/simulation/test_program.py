"""What a program is made from: parts that fit, a mode, devices, defaults."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.base import ClientData, FederatedDataset
from hasa_jax.simulation.program import choose_mode
from hasa_jax.supernet import costs
from tests.support import small

DATASET = small.dataset()


def images(clients, examples):
    """Returns black images that take no memory."""
    total = clients * examples
    part = ClientData(
        inputs=np.broadcast_to(np.float32(0), (total, 28, 28, 1)),
        targets=np.broadcast_to(np.int32(0), (total,)),
        offsets=np.arange(clients + 1) * examples,
        num_classes=10,
    )
    return FederatedDataset(part, part, part, tuple(map(str, range(clients))))


LEVELS = hj.methods.heterofl(levels=(1, 0.5, 0.25, 0.125, 0.0625))
MLP = hj.models.mlp(hidden=64, layers=2)
# As many as MNIST has.
MNIST = images(100, 600)


@pytest.mark.parametrize(
    ("method", "dataset", "num_rounds", "expected"),
    [
        (hj.methods.hasa(), DATASET, 15, "masked"),
        (LEVELS, MNIST, 200, "sliced"),
        (LEVELS, MNIST, 20, "masked"),
        # Every client trains the supernet, so there is nothing to save.
        (hj.methods.fedavg(), MNIST, 200, "masked"),
        # Single parameters cannot be sliced.
        (hj.methods.fiarse(), MNIST, 200, "masked"),
    ],
)
def test_auto_slices_where_it_saves_more_than_compiling_costs(
    method, dataset, num_rounds, expected
):
    program = hj.make_program(method, MLP, dataset, num_rounds=num_rounds)
    assert program.execution.mode == expected


@pytest.mark.parametrize(
    ("share", "training"),
    [
        (1.0, {}),
        (0.1, {"clients_per_round": 10}),
        (0.2, {"clients_per_round": 10, "local_epochs": 2}),
    ],
)
def test_a_bucket_costs_its_seconds_as_a_share_of_the_run(share, training):
    """An array of parameters compiles for .3 s; a CPU computes 3e10 MACs a second."""
    options = {"training": hj.Training(**training), "num_rounds": 7}
    program = hj.make_program(LEVELS, MLP, MNIST, **options)
    seconds = 0.3 * len(jax.tree.leaves(program.model.shapes))
    full = costs.mac_count(program.model, program.model.groups)
    expected = seconds * 3e10 / (7 * share * 60_000 * 3 * full)
    assert program.bucket_share == pytest.approx(expected)


def test_the_mode_changes_where_two_buckets_save_what_they_cost():
    model = MLP.bind(MNIST, norm="static", scaler="train")
    method = hj.methods.heterofl(levels=(1, 0.5))
    half = costs.cost_table(model, method.extraction, "macs")[32]
    # Half of the clients save 1 - half, and two buckets are compiled.
    for factor, expected in ((0.99, "sliced"), (1.01, "masked")):
        assert choose_mode(method, model, MNIST, factor * (1 - half) / 4) == expected


def test_a_mode_that_is_named_is_taken():
    for mode in ("masked", "sliced"):
        program = hj.make_program(
            small.plain(), hj.models.mlp(4), DATASET, execution=hj.Execution(mode)
        )
        assert program.execution.mode == mode


def test_single_parameters_are_not_sliced():
    with pytest.raises(hj.UserError, match=r"keeps single parameters: use masked .*`mode` auto"):
        hj.make_program(
            hj.methods.fiarse(), hj.models.mlp(4), DATASET, execution=hj.Execution("sliced")
        )


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(hj.UserError, match="more `exits`"):
        hj.make_program(hj.methods.scalefl(), hj.models.mlp(4), DATASET)
    with pytest.raises(hj.UserError, match="`label_split`"):
        hj.make_program(small.plain(label_split=True), small.Bound(small.mlp()), DATASET)


def test_a_module_that_is_no_specification_names_what_makes_one():
    with pytest.raises(hj.UserError, match=r"Dense is a module: give `hj\.from_linen` of it"):
        hj.make_program(hj.methods.hasa(), nn.Dense(3), DATASET)


def test_the_defaults_are_those_of_the_options():
    program = hj.make_program(small.plain(), hj.models.mlp(4), DATASET)
    assert program.training == hj.Training()
    params = {"w": jnp.ones(3)}
    # Adam's first step is the learning rate.
    rule = program.rule.optimizer
    step, _ = rule.update({"w": jnp.array([3.0, -1.0, 0.5])}, rule.init(params), params)
    np.testing.assert_allclose(step["w"], [-0.01, 0.01, -0.01], rtol=1e-4)
    mean, _ = program.server_optimizer.update(params, program.server_optimizer.init(params))
    np.testing.assert_array_equal(mean["w"], -params["w"])
    assert program.schedule(jnp.int32(7)) == 1
    assert program.rule.chunk == 0


def test_rules_come_from_the_method_and_the_data():
    method = hj.methods.fjord(self_distillation=True)
    method = dataclasses.replace(method, proximal=0.3, norm="none")
    optimizer = optax.sgd(0.5)
    texts = small.dataset((20, 30), "lstm")
    program = hj.make_program(method, hj.models.lstm(4, 5), texts, client_optimizer=optimizer)
    rule = program.rule
    assert rule.optimizer is optimizer
    assert (rule.proximal, rule.levels) == (0.3, (0.2, 0.4, 0.6, 0.8, 1.0))
    assert rule.objective is method.objective
    assert rule.chunk > 0
    assert rule.chunk % 16 == 0


def test_a_program_runs_on_the_mesh_that_was_asked_for():
    made = small.program(small.supernet("mlp"), DATASET.train, mesh="auto")
    assert [made.mesh(trials) for trials in (1, 2, 3)] == [(1, 2, 1), (2, 1, 1), (1, 2, 1)]
    with pytest.raises(hj.UserError, match="needs 3 devices, but JAX has 2"):
        small.program(small.supernet("mlp"), DATASET.train, mesh="clients:3")


def test_lanes_are_one_on_cpus_unless_a_block_is_given():
    for block, lanes in ((0, 1), (3, 3)):
        assert (
            small.program(small.supernet("mlp"), DATASET.train, client_block=block).lanes == lanes
        )
