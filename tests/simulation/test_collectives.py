"""What devices send each other: one sum a round, and a little after a stretch of rounds."""

import functools
import re

import jax
import optax
import pytest

import hasa_jax as hj
from hasa_jax.execution import sharding
from hasa_jax.simulation import cohorts, feed, stretch
from hasa_jax.simulation.round import init_state, scan_trials
from hasa_jax.simulation.traced import message_bytes
from tests.support import small

ROUNDS = 3
MESSAGES = re.compile(
    r" (all-reduce|all-gather|reduce-scatter|collective-permute|all-to-all)(?:-start)?\("
)


def arguments(program, dataset):
    """Returns states, data and cohorts of some rounds, where a run has them."""
    policy = hj.POLICIES["levels"](levels=[1.0, 0.5])
    trials = [small.trial(program, dataset, policy=policy)]
    sizes = cohorts.sizes_in_run([trials[0].allocation], ROUNDS)
    source = feed.resident(program, trials, cohorts.training_layout(program, trials, sizes))
    states = stretch.initial_states(program, [trials[0].key])
    states = sharding.put(states, stretch.places(program, states))
    return states, *next(source.rounds(0, ROUNDS))


def messages(function, *given):
    """Returns the lines of a compiled program that send something."""
    text = jax.jit(function).lower(*given).compile().as_text()
    return [line for line in text.splitlines() if MESSAGES.search(line)]


@pytest.mark.parametrize(
    ("kind", "mode", "label_split"),
    [
        ("mlp", "masked", False),
        pytest.param("lstm", "masked", True, marks=pytest.mark.slow),
        pytest.param("mlp", "sliced", False, marks=pytest.mark.slow),
        pytest.param("lstm", "sliced", False, marks=pytest.mark.slow),
        pytest.param("cnn static", "masked", False, marks=pytest.mark.slow),
    ],
)
def test_a_round_sends_one_sum(kind, mode, label_split):
    dataset = small.dataset((7, 30, 12, 3), kind.split()[0])
    program = small.program(
        small.supernet(kind),
        dataset.train,
        mode,
        method=small.plain(label_split=label_split),
        optimizer=optax.sgd(0.1),
        mesh="clients:2",
    )
    states, data, drawn = arguments(program, dataset)
    (line,) = messages(functools.partial(scan_trials, program), states, data, drawn)
    assert "all-reduce" in line
    (length,) = re.findall(r"= f32\[(\d+)\]", line)
    shapes = jax.eval_shape(functools.partial(init_state, program), small.KEY)
    assert 4 * int(length) == message_bytes(program, drawn.layout, shapes, dataset.train)


def test_one_device_sends_nothing():
    dataset = small.dataset((7, 30, 12, 3))
    program = small.program(small.supernet("mlp"), dataset.train, mesh="clients:1")
    assert messages(functools.partial(scan_trials, program), *arguments(program, dataset)) == []


def test_a_stretch_of_rounds_ends_with_a_few_small_messages():
    """The health of all rounds is sent at once: a flag of each client, and sums."""
    dataset = small.dataset((7, 30, 12, 3))
    program = small.program(small.supernet("mlp"), dataset.train, mesh="clients:2")
    sent = messages(functools.partial(stretch.advance, program), *arguments(program, dataset))
    kinds = sorted(MESSAGES.search(line)[1] for line in sent)
    assert kinds == ["all-gather", "all-reduce", "all-reduce", "all-reduce"]
