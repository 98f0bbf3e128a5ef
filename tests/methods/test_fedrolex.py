"""FedRolex: what it minimises on images and on texts."""

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

import hasa_jax as hj
from tests.methods.programs import step_of
from tests.support import small


def program_of(kind, method=None):
    spec = hj.MODELS["mlp" if kind == "mlp" else "lstm"](hidden=4)
    return hj.make_program(method or hj.methods.fedrolex(), spec, small.dataset(kind=kind))


def test_texts_have_plain_cross_entropy_and_others_own_classes():
    images, texts = program_of("mlp"), program_of("lstm")
    assert images.method.objective.own_classes
    assert images.rule.objective.name == "masked_cross_entropy"
    assert not texts.method.objective.own_classes
    assert texts.rule.objective.name == "cross_entropy"
    # The authors' code takes label rows of the client's own tokens on both.
    assert images.method.label_split
    assert texts.method.label_split


def test_on_texts_absent_words_keep_their_logits():
    logits = jnp.array([[2.0, -1.0, 5.0]])
    step = step_of(lambda kept: (logits,), 0, present=jnp.array([True, True, False]))
    losses = [float(program_of(kind).rule.objective.loss(step)[0]) for kind in ("mlp", "lstm")]
    tail = np.exp(2.0) + np.exp(-1.0)
    expected = [np.log(tail + np.exp(last)) - 2.0 for last in (0.0, 5.0)]
    assert losses == pytest.approx(expected, abs=1e-5)


def test_another_objective_and_another_method_stay_as_they_are():
    masked = hj.OBJECTIVES["masked_cross_entropy"]()
    chosen = dataclasses.replace(hj.methods.fedrolex(), objective=masked)
    assert program_of("lstm", chosen).rule.objective is masked
    assert program_of("lstm", hj.methods.heterofl()).rule.objective.own_classes
