"""From a configuration to data, models, optimizers, programs and allocations."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from experiments.config import RunConfig, with_fields
from experiments.study import optimizers, program
from experiments.study.arm import Arm
from experiments.study.block import Block
from experiments.study.data import build_dataset
from experiments.study.model import model_name, model_of

IMAGES = {
    "dataset": "synthetic_images",
    "num_images": 120,
    "image_size": 4,
    "num_clients": 4,
    "hidden_dim": 8,
    "norm": "layer",
}


def config_of(**values):
    return with_fields(RunConfig(), IMAGES | values)


@pytest.fixture(scope="module")
def dataset():
    return build_dataset(config_of().data, set(), 0)


def stepped(optimizer, gradients):
    """Where a parameter is after some gradients."""
    params = jnp.float32(1.0)
    state = optimizer.init(params)
    for gradient in gradients:
        updates, state = optimizer.update(jnp.float32(gradient), state, params)
        params = optax.apply_updates(params, updates)
    return float(params)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({}, optax.adam(0.01)),
        ({"client_adam_eps": 0.1}, optax.adam(0.01, eps=0.1)),
        ({"client_weight_decay": 0.5}, optax.adamw(0.01, weight_decay=0.5)),
        ({"client_optimizer": "sgd"}, optax.sgd(0.01)),
        ({"client_optimizer": "sgd", "client_momentum": 0.9}, optax.sgd(0.01, momentum=0.9)),
        (
            {"client_optimizer": "sgd", "client_clip_norm": 0.5},
            optax.chain(optax.clip_by_global_norm(0.5), optax.sgd(0.01)),
        ),
    ],
)
def test_local_optimizers_are_those_of_optax(values, expected):
    made = optimizers.client_optimizer(config_of(**values).training)
    gradients = (0.3, -2.0, 1.0)
    assert stepped(made, gradients) == pytest.approx(stepped(expected, gradients), rel=1e-6)


def test_the_learning_rate_falls_at_its_milestones():
    factor = optimizers.schedule(config_of(lr_milestones=(2, 4), lr_decay=0.5).training)
    rounds = [float(factor(jnp.int32(round))) for round in range(6)]
    assert rounds == [1, 1, 0.5, 0.5, 0.25, 0.25]
    assert optimizers.schedule(config_of().training) is None
    yogi = optimizers.server_optimizer(config_of(server_optimizer="yogi", server_lr=0.1).training)
    assert stepped(yogi, (1.0, 2.0)) == stepped(optax.yogi(0.1), (1.0, 2.0))


def test_the_builder_gets_the_fields_that_it_reads(dataset):
    assert dataset.train.num_clients == 4
    assert dataset.train.inputs.shape[1:] == (4, 4, 3)
    assert build_dataset(config_of().data, {"num_clients"}, 0).train.num_clients == 4
    with pytest.raises(hj.UserError, match="`vocab_size` is for texts"):
        build_dataset(config_of().data, {"vocab_size"}, 0)
    with pytest.raises(hj.UserError, match="reads a file: name it with `data_path`"):
        build_dataset(config_of(dataset="npz").data, set(), 0)


def test_the_model_follows_the_data_or_the_user(dataset):
    assert model_name(config_of().model, dataset) == "mlp"
    assert model_name(config_of(model="cnn").model, dataset) == "cnn"
    spec = model_of(config_of(layers=2, exits=2, compute_dtype="bfloat16").model, dataset)
    model = spec.bind(dataset, norm="layer", scaler="none")
    assert (len(model.groups), model.num_exits) == (2, 2)
    assert set(model.groups.values()) == {8}


def test_arms_of_one_method_share_a_program_in_one_mode(dataset):
    arms = [Arm("hasa", "uniform"), Arm("hasa", "hasa"), Arm("fjord", "uniform")]
    programs = program.build_programs(config_of(execution="masked"), dataset, arms)
    assert programs[arms[0]] is programs[arms[1]] is not programs[arms[2]]
    own = programs[arms[0]]
    assert own.execution.mode == "masked"
    assert own.training.batch_size == RunConfig().training.batch_size
    # Published widths are rounded from the width itself, others from the size.
    arms = [Arm("heterofl", "uniform"), Arm("heterofl", "levels")]
    programs = program.build_programs(config_of(execution="masked", levels=(0.3,)), dataset, arms)
    shapes = [p.extraction.shape(p.model, 3).width for p in programs.values()]
    assert shapes == [3 / 8, 0.3]
    with pytest.raises(hj.UserError, match="needs 99 devices"):
        program.build_programs(config_of(mesh="clients:99"), dataset, arms)


def test_allocations_follow_the_arm(dataset, tmp_path):
    arms = [Arm("hasa", name) for name in ("uniform", "hasa", "hasa@file", "levels")]
    names = dataset.client_names
    lines = [f"{name},{score}" for name, score in zip(names, (3, 1, 2, 0), strict=True)]
    (tmp_path / "scores.csv").write_text("\n".join(["client,score", *lines]))
    config = config_of(score_path=tmp_path / "scores.csv", levels=(1, 0.5), execution="masked")
    own = program.build_programs(config, dataset, arms)[arms[0]]
    made = {a.policy: program.build_allocation(config, own, dataset, a, Block(0)) for a in arms}
    assert not made["uniform"].stats.scores.any()
    assert made["levels"].sizes.tolist() == [8, 8, 4, 4]
    score = hj.SCORES["label_divergence"]()(dataset.train, own.model, jax.random.key(0))
    np.testing.assert_array_equal(made["hasa"].stats.scores, score)
    assert np.argsort(made["hasa@file"].widths, kind="stable").tolist()[-1] == 0
    assert made["hasa"].ledger.width <= 0.5


def test_sizes_to_evaluate_keep_their_names(dataset):
    config = config_of(eval_levels=(1, 0.5, 0.0625), execution="masked")
    own = program.build_programs(config, dataset, [Arm("hasa", "hasa")])[Arm("hasa", "hasa")]
    assert program.eval_levels(config, own) == {"1": 8, "0.5": 4, "0.0625": 1}
    assert program.eval_levels(config_of(), own) == {}
