"""A federated algorithm, step by step."""

import numpy as np
import pytest

import hasa_jax as hj
from tests.simulation.simulated import DATASET, KEY, MODEL, OPTIONS, result
from tests.support import small


def test_step_by_step_is_the_same_run():
    algorithm = hj.build(hj.methods.hasa(), MODEL, DATASET, **OPTIONS)
    np.testing.assert_array_equal(algorithm.allocation.sizes, result().trial.allocation.sizes)
    state = algorithm.init(KEY)
    for number in range(3):
        cohort = algorithm.sample(state)
        assert len(small.members(cohort)) == 3
        state, report = algorithm.round(state, cohort)
        assert report.weight.shape == cohort.slots.client.shape
        assert int(state.round) == number + 1
        found = algorithm.evaluate(state)
        recorded = {
            record["client"]: record["accuracy"]
            for record in result().records["metrics"]
            if (record["round"], record["split"]) == (number + 1, "test")
        }
        assert found.per_client == recorded
    small.assert_trees_equal(state.params, result().state.params)
    validation = algorithm.evaluate(state, "validation")
    assert validation.per_client != found.per_client
    with pytest.raises(hj.UserError, match="unknown `split` 'train': use one of validation, test"):
        algorithm.evaluate(state, "train")


def test_scores_of_the_user_replace_those_of_the_method():
    scores = np.array([0.1, 0.9, 0.5, 0.3])
    algorithm = hj.build(hj.methods.hasa(), MODEL, DATASET, scores=scores, **OPTIONS)
    np.testing.assert_array_equal(algorithm.allocation.stats.scores, scores)
    own = result().trial.allocation.stats.scores
    expected = hj.SCORES["label_divergence"]()(DATASET.train, result().program.model, KEY)
    np.testing.assert_array_equal(own, expected)


def test_steps_need_all_data_on_the_device():
    options = OPTIONS | {"execution": hj.Execution("masked", stream=True)}
    method = small.plain()
    with pytest.raises(hj.UserError, match="leave `stream` out"):
        hj.build(method, MODEL, DATASET, **options)
