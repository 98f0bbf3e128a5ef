"""HeteroFL: widths, own classes, label rows, scaler, and its options."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.simulation.deploy import deploy
from hasa_jax.supernet import units
from tests.methods.programs import KEY, rounds, step_of, train
from tests.support import small


def test_levels_keep_these_widths():
    # Test vector E: levels e and c of the stages 64, 128, 256, 512.
    groups = {f"stage{i}": 64 * 2**i for i in range(4)}
    assert list(units.kept_of_size(groups, 512 // 16).values()) == [4, 8, 16, 32]
    assert list(units.kept_of_size(groups, 512 // 4).values()) == [16, 32, 64, 128]


@pytest.mark.slow
def test_levels_are_rounded_in_each_group_from_training_to_deployment():
    """At .35 stages of 5, 5, 6 and 9 units keep 2, 2, 3 and 4; ceil(5 * 4 / 9) would be 3."""
    model, data = small.cnn(norm="none", scaler="train"), small.client_data(kind="cnn")
    method = hj.methods.heterofl(levels=(1, 0.35), label_split=False)
    ends = []
    for mode in ("masked", "sliced"):
        program = small.program(model, data, mode, method=method, optimizer=optax.sgd(0.1))
        trial = small.trial(program, small.dataset(kind="cnn"))
        sizes, widths = trial.allocation.sizes, trial.allocation.widths
        start = small.initial(program, KEY)
        ends.append(train(program, start, data, small.cohort(program, data, sizes)))
    assert (sizes.tolist(), widths.tolist()) == ([9, 9, 4, 4], [1, 1, 0.35, 0.35])
    small.assert_trees_close(*ends)
    module, params = deploy(program, start, data, 3, 4)
    assert [module.stage1, module.stage2, module.stage3, module.stage4] == [2, 2, 3, 4]
    assert module.width == 0.35
    assert params["conv_4"]["kernel"].shape == (3, 3, 3, 4)


@pytest.mark.slow
def test_level_e_alone_starts_from_its_own_initialisation():
    """It is the network of 16 / 16, 32 / 16, ... units, and no slice of the one of level a."""
    dataset = small.dataset(kind="cnn")
    method = hj.methods.heterofl(levels=(1,), supernet_width=1 / 16)
    narrow = hj.make_program(method, hj.models.cnn(hidden=16), dataset).model
    built = hj.make_program(hj.methods.heterofl(), hj.models.cnn(hidden=1), dataset).model
    assert narrow.groups == built.groups == {"stage1": 1, "stage2": 2, "stage3": 4, "stage4": 8}
    params = narrow.init(KEY)
    small.assert_trees_equal(params, built.init(KEY))
    # Kernels lie within 1 / sqrt(fan in) of the narrow network, not of the wide one.
    widest = float(jnp.abs(params["conv_4"]["kernel"]).max())
    assert 1 / np.sqrt(9 * 64) < widest <= 1 / np.sqrt(9 * 4)


@pytest.mark.parametrize("width", [0, 1.5, float("nan")])
def test_a_supernet_has_a_share_of_the_units(width):
    with pytest.raises(hj.UserError, match="`supernet_width` is"):
        hj.methods.heterofl(supernet_width=width)


def test_a_class_that_no_client_has_keeps_its_head_row():
    model, data = small.perceptron(), small.client_data(kind="perceptron")
    data = data.replace(targets=np.where(data.targets == 3, 1, data.targets))
    start, end = rounds(model, data, [9, 9, 4, 5], hj.methods.heterofl())
    heads = [(tree["head_1"]["kernel"], tree["head_1"]["bias"]) for tree in (start, end)]
    for before, after in zip(*heads, strict=True):
        np.testing.assert_array_equal(before[..., 3], after[..., 3])
        assert (before[..., 0] != after[..., 0]).any()


def test_a_client_contributes_only_its_own_label_rows():
    model = small.perceptron()
    inputs = np.random.default_rng(0).normal(size=(8, 2, 3)).astype(np.float32)
    targets = np.array([0] * 4 + [1] * 4, np.int32)
    data = hj.ClientData(inputs, targets, np.array([0, 4, 8], np.int32), small.NUM_CLASSES)
    _, both = rounds(model, data, [9, 9], hj.methods.heterofl())
    _, first = rounds(model, data, [9, 9], hj.methods.heterofl(), weights=[1, 0])
    np.testing.assert_allclose(both["head_1"]["bias"][0], first["head_1"]["bias"][0], rtol=1e-6)


def test_absent_classes_have_logit_zero_in_loss_and_gradient():
    logits = jnp.array([[2.0, -1.0, 5.0]])
    present = jnp.array([True, True, False])

    def loss(z):
        step = step_of(lambda kept: (z,), 0, present=present)
        return hj.methods.heterofl().objective.loss(step)[0]

    expected = -2.0 + np.log(np.exp(2.0) + np.exp(-1.0) + 1.0)
    assert float(loss(logits)) == pytest.approx(expected, abs=1e-6)
    assert float(jax.grad(loss)(logits)[0, 2]) == 0


def test_the_scaler_changes_nothing_before_a_batch_norm():
    data = small.client_data(kind="perceptron")
    moved = []
    for scaler in ("none", "train"):
        model = small.perceptron(norm="batch", scaler=scaler)
        params = model.init(KEY)
        kept = units.kept_of_size(model.groups, 4)
        ranks = {group: jnp.arange(size) for group, size in model.groups.items()}
        narrow = units.gather(params, model.axes, ranks, kept)
        context = hj.Context(width=0.5, train=True)
        moved.append(model.narrow(kept, 1)(narrow, data.inputs, context)[0][0])
    np.testing.assert_allclose(*moved, atol=1e-3)


def test_its_options_are_those_of_the_paper():
    method = hj.methods.heterofl(levels=(1, 0.5), proportions=(3, 1), dynamic=True)
    assert method.policy.name == "levels"
    assert method.policy.dynamic
    assert not hj.methods.heterofl(label_split=False).label_split
    assert hj.methods.heterofl(aggregation="full").aggregation == "full"


@pytest.mark.parametrize("options", [{"proportions": (1, 2)}, {"dynamic": True}])
def test_options_of_levels_need_levels(options):
    with pytest.raises(hj.UserError, match="give `levels`, too"):
        hj.methods.heterofl(**options)
