"""FedAvg against gradient descent on the pooled data."""

import jax
import optax

import hasa_jax as hj
from tests.methods.programs import rounds
from tests.support import small


def test_one_full_batch_step_is_gradient_descent_on_all_data():
    model, data = small.mlp(), small.client_data((7, 3, 12))
    start, end = rounds(model, data, [12] * 3, weights=data.num_examples, batch_size=16, count=2)

    def pooled(params):
        logits, _ = model.apply(params, data.inputs, hj.Context(train=True))
        values = optax.softmax_cross_entropy_with_integer_labels(logits[-1], data.targets)
        return values.mean()

    params = start
    for _ in range(2):
        params = jax.tree.map(lambda p, g: p - 0.2 * g, params, jax.grad(pooled)(params))
    small.assert_trees_close(end, params, atol=1e-5)


def test_equal_numbers_of_examples_make_both_weightings_equal():
    model, data = small.mlp(), small.client_data((8, 8, 8))
    ends = [rounds(model, data, [12, 5, 8], weights=w)[1] for w in ([1, 1, 1], [8, 8, 8])]
    small.assert_trees_close(*ends, atol=1e-6)
