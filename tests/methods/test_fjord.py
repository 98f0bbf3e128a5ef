"""FjORD: draws, nested means, and self-distillation."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.server import aggregation
from hasa_jax.supernet import units
from hasa_jax.supernet.types import Drawn
from tests.methods.programs import KEY, rounds, step_of
from tests.support import small

LEVELS = (0.25, 0.5, 0.75, 1.0)


def test_draws_are_uniform_over_the_levels_below_the_own():
    model = small.lstm(hidden=16)
    keys = jax.random.split(KEY, 4000)
    own = Drawn(0.75, {"hidden": 12})
    draw = jax.jit(jax.vmap(lambda k: units.draw_kept(k, model, LEVELS, own).kept["hidden"]))
    values, counts = np.unique(draw(keys), return_counts=True)
    np.testing.assert_array_equal(values, [4, 8, 12])
    np.testing.assert_allclose(counts / 4000, 1 / 3, atol=0.03)


def test_a_width_between_levels_is_drawn_too():
    model = small.lstm(hidden=16)
    own = Drawn(10 / 16, {"hidden": 10})
    draw = jax.vmap(lambda k: units.draw_kept(k, model, LEVELS, own).kept["hidden"])
    np.testing.assert_array_equal(np.unique(draw(jax.random.split(KEY, 200))), [4, 8, 10])


def test_one_level_is_fedavg():
    model, data = small.lstm(), small.client_data(kind="lstm")
    weights, method = data.num_examples, hj.methods.fjord(dropout_levels=(1.0,))
    _, fjord = rounds(model, data, [16] * 4, method, weights=weights)
    _, fedavg = rounds(model, data, [16] * 4, weights=weights)
    small.assert_trees_close(fjord, fedavg, atol=1e-6)


def test_the_smallest_client_never_moves_outer_units():
    model, data = small.lstm(), small.client_data(kind="lstm")
    start, end = rounds(model, data, [4, 4, 4, 4], hj.methods.fjord(), count=2)
    np.testing.assert_array_equal(start["head_kernel"][4:], end["head_kernel"][4:])
    assert (start["head_kernel"][:4] != end["head_kernel"][:4]).all()


def test_nested_update_is_the_weighted_coverage_mean():
    # Test vector G: FjORD averages block by block, from the widest down.
    rng = np.random.default_rng(1)
    old, widths, n = rng.normal(size=(10, 10)), [2, 6, 6, 10], np.array([3, 1, 4, 2])
    local = [rng.normal(size=(10, 10)) for _ in n]
    nested = old.copy()
    for width in (10, 8, 6, 4, 2):
        holders = [i for i, w in enumerate(widths) if w >= width]
        block = (slice(width), slice(width))
        nested[block] = sum(n[i] * local[i][block] for i in holders) / n[holders].sum()
    total = None
    for i, width in enumerate(widths):
        mask = np.zeros((10, 10), np.float32)
        mask[:width, :width] = 1
        update = jnp.asarray(mask * (local[i] - old), jnp.float32)
        part = aggregation.partial_sum(update, jnp.asarray(mask), jnp.float32(n[i]), "coverage")
        total = part if total is None else jax.tree.map(jnp.add, total, part)
    mean = aggregation.mean_update(total, "coverage")
    np.testing.assert_allclose(old + np.asarray(mean), nested, atol=1e-6)


def test_distillation_adds_the_soft_loss_of_the_drawn_width():
    own, drawn = jnp.array([[1.0, 0.0, -1.0]]), jnp.array([[0.5, 0.5, 0.0]])
    step = step_of(lambda kept: (own if kept is None else drawn,), 2, drawn={"hidden": 1})
    loss, sums = hj.methods.fjord(self_distillation=True).objective.loss(step)
    hard = float(-jax.nn.log_softmax(own)[0, 2])
    soft = float(-(jax.nn.softmax(own) * jax.nn.log_softmax(drawn)).sum())
    assert float(loss) == pytest.approx(hard + soft, abs=1e-6)
    assert float(sums.loss) == pytest.approx(hard, abs=1e-6)


def test_distillation_trains():
    model, data = small.lstm(), small.client_data(kind="lstm")
    method = hj.methods.fjord(self_distillation=True)
    start, end = rounds(model, data, [16, 8, 8, 4], method)
    assert small.max_difference(start, end) > 1e-3
