"""What counts as compiling: everything that makes a program, and each second of it once."""

import dataclasses
import time

import jax
import jax.numpy as jnp
import pytest

from hasa_jax.simulation.stopwatch import stopwatch


def test_tracing_counts_as_compiling_and_running_does_not():
    @jax.jit
    def slow_to_trace(x):
        time.sleep(0.2)
        return x + 1

    one = jnp.float32(1)
    with stopwatch() as first:
        slow_to_trace(one).block_until_ready()
        time.sleep(0.1)
    assert 0.2 <= first.compile <= first.wall - 0.1
    with stopwatch() as second:
        slow_to_trace(one).block_until_ready()
    assert second.compile == 0


def test_a_program_made_while_another_is_traced_counts_once():
    @jax.jit
    def inner(x):
        time.sleep(0.2)
        return x + 1

    @jax.jit
    def outer(x):
        with jax.ensure_compile_time_eval():
            table = inner(jnp.float32(1))
        return x + table

    with stopwatch() as seconds:
        outer(jnp.float32(1)).block_until_ready()
        time.sleep(0.2)
    assert 0.2 <= seconds.compile <= seconds.wall - 0.2


def test_an_error_in_the_block_passes_through_and_ends_the_measurement():
    with pytest.raises(ValueError, match="mine"), stopwatch() as seconds:
        raise ValueError("mine")
    held = dataclasses.replace(seconds)
    jax.jit(lambda x: x - 1)(jnp.float32(1))
    assert seconds == held
