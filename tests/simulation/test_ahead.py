"""Programs compiled in a thread are those that are called later."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from hasa_jax.simulation.ahead import compile_ahead, nothing_ahead
from hasa_jax.simulation.stopwatch import Spent, stopwatch
from tests.support import small


def test_a_program_that_is_compiled_ahead_is_not_compiled_again():
    @jax.jit
    def double(x):
        return 2 * x

    x = jnp.arange(3.0)
    jax.block_until_ready(x)
    with stopwatch() as meanwhile:
        wait = compile_ahead(lambda: double.lower(x).compile())
        took = wait()
    assert (took.programs, meanwhile.programs) == (1, 0)
    assert 0 < took.compile <= took.wall
    with stopwatch() as spent:
        np.testing.assert_array_equal(double(x), [0, 2, 4])
    assert spent.programs == 0
    assert wait() == took


def test_what_compiling_raises_is_left_to_the_call():
    def mistaken():
        raise ZeroDivisionError

    assert compile_ahead(mistaken)().programs == 0
    assert nothing_ahead() == Spent()


@pytest.mark.parametrize("devices", [1, 2])
@pytest.mark.parametrize("seeds", [1, 2])
def test_a_run_makes_two_programs_whatever_its_rounds(seeds, devices):
    dataset = small.dataset((7, 30, 12, 3))
    program = small.program(small.supernet("mlp"), dataset.train, mesh=f"clients:{devices}")
    trials = [
        small.trial(program, dataset, key=jax.random.key(seed), labels={"seed": seed})
        for seed in range(seeds)
    ]
    reporting = hj.Reporting(eval_every=2)
    for made in (2, 0):
        histories = hj.run_trials(program, trials, num_rounds=4, reporting=reporting)
        for history in histories:
            assert [record["programs"] for record in history.timings] == [made / seeds] * 2
        compiled = [record["evaluation_compile_seconds"] > 0 for record in histories[0].timings]
        assert compiled == [made > 0] * 2 or made == 0
