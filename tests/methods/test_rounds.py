"""What rounds of all methods share."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution.broadcast import broadcast_to
from hasa_jax.extraction.measures import MEASURES
from tests.methods.programs import KEY, rounds, train
from tests.support import small


def test_weight_decay_leaves_what_a_client_does_not_hold():
    model, data = small.mlp(), small.client_data()
    optimizer = optax.chain(optax.add_decayed_weights(0.5), optax.sgd(0.1))
    start, end = rounds(model, data, [3, 3, 3, 3], optimizer=optimizer)
    np.testing.assert_array_equal(start["Dense_0"]["bias"][3:], end["Dense_0"]["bias"][3:])


def test_the_learning_rate_follows_its_schedule():
    model, data = small.mlp(), small.client_data((6,))
    scales = [
        rounds(model, data, [12], batch_size=8, schedule=lambda round, s=s: jnp.float32(s))
        for s in (1.0, 0.5)
    ]
    moved = [jax.tree.map(jnp.subtract, end, start) for start, end in scales]
    small.assert_trees_close(jax.tree.map(lambda x: 0.5 * x, moved[0]), moved[1], atol=1e-6)
    assert small.max_difference(*moved) > 1e-3


def test_clients_randomness_depends_on_the_seed():
    model, data = small.mlp(), small.client_data()
    program = small.program(model, data, optimizer=optax.sgd(0.2))
    cohort = small.cohort(program, data, [12] * 4)
    start = small.initial(program, KEY)
    ends = [train(program, start.replace(key=jax.random.key(s)), data, cohort) for s in (0, 1)]
    assert small.max_difference(*ends) > 1e-5


@pytest.mark.parametrize("name", sorted({*hj.EXTRACTIONS} - {"depth_width", "ordered_dropout"}))
def test_full_size_makes_every_extraction_fedavg(name):
    """Same split, initialisation and batches; exactly equal in supernet coordinates."""
    model, data = small.mlp(), small.client_data()
    _, expected = rounds(model, data, [12] * 4)
    _, found = rounds(model, data, [12] * 4, small.plain(extraction=hj.EXTRACTIONS[name]()))
    small.assert_trees_close(found, expected, atol=1e-6)


@pytest.mark.parametrize("measure", ["fisher", "gradient", "taylor"])
def test_measures_see_through_batch_norms(measure):
    model, data = small.perceptron(norm="batch"), small.client_data(kind="perceptron")
    state = small.initial(small.program(model, data), KEY)
    scores = MEASURES[measure](broadcast_to(jnp.int32(1), jnp.int32(1), model, state, data, 4))
    for layer in ("dense_1", "dense_2", "head_1"):
        assert float(jnp.abs(scores[layer]["kernel"]).max()) > 0


def test_a_label_split_needs_named_label_rows():
    with pytest.raises(hj.UserError, match="'classes'"):
        small.program(small.mlp(), small.client_data(), method=small.plain(label_split=True))


@pytest.mark.slow
def test_methods_share_their_initialisation():
    data = small.client_data(kind="lstm")
    starts = []
    for name in sorted(hj.METHODS):
        method = hj.METHODS[name]()
        model = small.transformer(scaler=method.scaler, **small.TWO_EXITS)
        starts.append(small.initial(small.program(model, data, method=method), KEY).params)
    for other in starts[1:]:
        small.assert_trees_equal(starts[0], other)
