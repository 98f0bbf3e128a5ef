"""Parts as text: other options have other texts, and no address is in any."""

import functools
import subprocess
import sys

import jax
import numpy as np
import optax
import pytest

import hasa_jax as hj
from hasa_jax.simulation.described import described


def scaled(values, factor=1.0):
    return values * factor


def scale(factor):
    def scaled(values):
        return values * factor

    return scaled


class Scale:
    def __init__(self, factor):
        self.factor = factor

    def by(self, values):
        return values * self.factor


@pytest.mark.parametrize(
    ("part", "expected"),
    [
        (None, "None"),
        (np.float64(0.5), "0.5"),
        ("a\nb", "'a\\nb'"),
        (scaled, "scaled"),
        (functools.partial(scaled, 2, factor=3.0), "scaled(2, factor=3.0)"),
        (scale((1, 2)), "scaled(factor=[1, 2])"),
        (Scale(2).by, "Scale.by"),
        (functools.lru_cache(scaled), "scaled"),
        ({"b": 1, "a": np.arange(3)}, "{a=[0, 1, 2], b=1}"),
        (jax.numpy.arange(2), "[0, 1]"),
        (jax.jit(functools.partial(scaled, factor=2)), "scaled(factor=2)"),
        (Scale(2), "Scale"),
    ],
)
def test_texts_by_hand(part, expected):
    assert described(part) == expected


def test_long_arrays_have_a_hash():
    one, two = np.zeros(1000), np.eye(1, 1000)[0]
    assert described(one).startswith("float64[1000] of SHA-256 ")
    assert described(one) != described(two)
    assert described(one) == described(one.copy())


def test_other_options_of_parts_have_other_texts():
    parts = [
        *(hj.EXTRACTIONS[name]() for name in sorted(hj.EXTRACTIONS)),
        hj.EXTRACTIONS["rolling"](step=2),
        hj.EXTRACTIONS["prefix"](levels=(0.5,)),
        hj.EXTRACTIONS["importance"](gradient="masked"),
        hj.EXTRACTIONS["importance"](threshold="layer"),
        *(hj.SCORES[name]() for name in sorted(hj.SCORES)),
        hj.SCORES["label_divergence"](alpha=0.5),
        *(optax.sgd(rate).update for rate in (0.1, 1e-5)),
        *(optax.adam(0.1, b1=b1).update for b1 in (0.9, 0.8)),
        optax.sgd(0.1, momentum=0.9).update,
        optax.chain(optax.clip(1.0), optax.sgd(0.1)).update,
        optax.sgd(optax.exponential_decay(0.1, 10, 0.5)).update,
        optax.sgd(optax.exponential_decay(0.1, 10, 0.9)).update,
    ]
    texts = list(map(described, parts))
    assert len(set(texts)) == len(texts)
    assert not any(" at 0x" in text or "\n" in text for text in texts)


def test_a_function_that_holds_itself_ends():
    def again(count):
        return again(count - 1) if count else 0

    assert described(again).startswith("again(again=again(")


def test_another_process_writes_the_same():
    code = (
        "import optax, hasa_jax as hj; from hasa_jax.simulation.described import described as d; "
        "print(d(optax.adam(0.1).update), d(hj.METHODS['fiarse']().extraction))"
    )
    method = hj.METHODS["fiarse"]()
    expected = f"{described(optax.adam(0.1).update)} {described(method.extraction)}\n"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == expected
