"""ScaleFL: the loss of all exits by hand, distillation, and depth."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.client.objectives.multi_exit import exit_weight
from tests.methods.programs import rounds, step_of
from tests.support import small


def logits_step(exits, round=9):
    outputs = tuple(jnp.array([[float(i), 0.0, 1.0]]) for i in range(1, 5))
    return outputs, step_of(lambda kept: outputs, 0, exits=jnp.int32(exits), round=round)


def loss_of(step, **options):
    return hj.methods.scalefl(**options).objective.loss(step)[0]


def test_exit_weights():
    # Test vector H.
    assert [float(exit_weight(j, 4)) for j in (1, 2, 3, 4)] == pytest.approx([0.1, 0.2, 0.3, 0.4])
    assert float(exit_weight(1, 1)) == 1
    for exits in range(1, 7):
        total = sum(float(exit_weight(j, exits)) for j in range(1, exits + 1))
        assert total == pytest.approx(1)


@pytest.mark.parametrize("exits", [1, 3, 4])
def test_loss_by_hand(exits):
    outputs, step = logits_step(exits)
    cross = [float(-jax.nn.log_softmax(z)[0, 0]) for z in outputs]
    weights = [j / (exits * (exits + 1) / 2) for j in range(1, exits + 1)]
    expected = sum(w * c for w, c in zip(weights, cross, strict=False))
    assert float(loss_of(step)) == pytest.approx(expected)

    gamma, heat = 0.05, 3.0
    teacher = jax.nn.log_softmax(outputs[exits - 1] / heat)
    for j in range(1, exits):
        student = jax.nn.log_softmax(outputs[j - 1] / heat)
        divergence = float((jnp.exp(teacher) * (teacher - student)).mean())
        expected += weights[j - 1] * gamma * heat**2 * divergence
    assert float(loss_of(step, distillation=gamma)) == pytest.approx(expected)


def test_distillation_waits_for_its_round():
    _, early = logits_step(3, round=5)
    with_, without = (loss_of(early, distillation=g, first_round=5) for g in (0.5, 0.0))
    assert float(with_) == pytest.approx(float(without), abs=1e-7)


def test_detaching_the_teacher_stops_its_gradient():
    def gradient(detach):
        def loss(last):
            step = step_of(lambda kept: (jnp.array([[2.0, 0.0]]), last), 0, exits=2, round=1)
            return loss_of(step, distillation=5.0, detach_teacher=detach)

        return jax.grad(loss)(jnp.array([[0.0, 1.0]]))

    plain = 2 / 3 * (np.asarray(jax.nn.softmax(jnp.array([[0.0, 1.0]]))) - [[1, 0]])
    np.testing.assert_allclose(gradient(True), plain, atol=1e-6)
    assert np.abs(gradient(False) - plain).max() > 1e-3


def test_deeper_exits_stay_when_only_shallow_clients_train():
    model = small.perceptron(norm="batch", **small.TWO_EXITS)
    data = small.client_data(kind="perceptron")
    start, end = rounds(model, data, [4, 3, 4, 2], hj.methods.scalefl())
    moved = jax.tree.map(lambda a, b: bool((a != b).any()), start, end)
    for deep, leaf in zip(*map(jax.tree.leaves, (model.depths, moved)), strict=True):
        assert leaf == (deep == 1)


def test_a_model_without_exits_is_refused():
    data = small.client_data(kind="perceptron")
    with pytest.raises(hj.UserError, match="exits"):
        small.program(small.perceptron(), data, method=hj.methods.scalefl())
