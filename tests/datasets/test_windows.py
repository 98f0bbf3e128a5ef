"""Texts that are windows of a longer one: found by their overlap, and split without any."""

import numpy as np
import pytest

from hasa_jax.datasets import windows as found_in
from hasa_jax.datasets.splits import held_of, marks_of_fold
from hasa_jax.datasets.windows import (
    LEFT_OUT,
    Windows,
    fit_in_order,
    gap_of,
    marks_in_order,
    one_chain,
    windows_of,
)


def windows(count, length=8, step=1, seed=0):
    """Returns the codes of windows of a random text."""
    text = np.random.default_rng(seed).integers(97, 123, count * step + length, np.uint32)
    return np.stack([text[i * step : i * step + length] for i in range(count)])


def test_the_step_and_the_gap():
    assert windows_of({"a": [windows(20)], "b": [windows(3, seed=1)]}) == Windows(8, 1, {}, ())
    # A text has 8 characters, so the third after it has nothing of it if each is 3 further on.
    assert windows_of({"a": [windows(20, step=3)]}) == Windows(8, 3, {}, ())
    assert [gap_of(Windows(8, step, {}, ()), "a") for step in (1, 2, 3, 4)] == [7, 3, 2, 1]
    assert windows_of({"a": [windows(20, step=5)]}) is None
    assert windows_of({"a": [windows(20, length=1)]}) is None
    assert windows_of({"a": []}) is None


def test_texts_in_another_order_are_no_windows():
    shuffled = np.random.default_rng(0).permutation(windows(40))
    assert windows_of({"a": [shuffled]}) is None
    found = windows_of({"b": [windows(60)], "a": [shuffled], "c": [windows(1)]})
    assert found == Windows(8, 1, {}, ("a",))


def test_texts_of_several_lengths_are_no_windows():
    """A step as long as a text would leave nothing to compare."""
    rng = np.random.default_rng(0)
    for lengths in ((5, 6, 7, 8), (20, 30, 40, 90)):
        own = {f"u{n}": [rng.integers(97, 123, (30, n), np.uint32)] for n in lengths}
        assert windows_of(own) is None


def test_users_with_another_step_have_another_gap():
    users = {name: [windows(30, step=2, seed=i)] for i, name in enumerate("abc")}
    found = windows_of(users | {"d": [windows(30, seed=4)], "e": [windows(30, step=4, seed=5)]})
    assert found == Windows(8, 2, {"d": 1, "e": 4}, ())
    assert [gap_of(found, name) for name in "ade"] == [3, 7, 1]
    # The longest part may be the one with the smaller step.
    mixed = [windows(40), *(windows(30, step=2, seed=i) for i in (7, 8))]
    assert windows_of(users | {"d": mixed}) == Windows(8, 2, {"d": 1}, ())
    counts, gaps = np.array([30, 30]), np.array([3, 7])
    both = marks_in_order(counts, gaps)
    each = [marks_in_order(counts[:1], gap) for gap in (3, 7)]
    np.testing.assert_array_equal(both, np.concatenate(each))
    assert fit_in_order(np.array([10, 10]), gaps, 5).tolist() == [True, False]


def test_parts_that_follow_each_other_are_one_chain():
    every = windows(60)
    parts = [every[40:], every[10:20], every[:10], every[25:40], every[20:25]]
    assert one_chain(parts, 1) == [2, 1, 4, 3, 0]
    # Without the middle, the longer chain is that of the end.
    assert one_chain(parts[:4], 1) == [3, 0]
    assert one_chain([every[:30], windows(40, seed=1)], 1) == [1]


def test_long_texts_take_few_comparisons(monkeypatch):
    """Each comparison of all characters reads a thousand of them."""
    tried = []
    monkeypatch.setattr(found_in, "_share", lambda parts, step: tried.append(step) or 0.0)
    texts = np.random.default_rng(0).integers(97, 123, (200, 2000), np.uint32)
    assert windows_of({"a": [texts], "b": [texts]}) is None
    assert tried == []
    assert [len(part) for part in found_in._sampled({"a": [texts[:30]] * 5, "b": [texts]})] == [
        *[30, 20],
        50,
    ]


@pytest.mark.parametrize("gap", [1, 7])
@pytest.mark.parametrize("folds", [0, 2, 3, 5])
def test_splits_in_order_overlap_nowhere(gap, folds):
    """Of every number of examples: all neighbours by definition, one client after the other."""
    every = np.arange(1, 70)
    counts = every[fit_in_order(every, gap, 3, folds)]
    assert counts.min() < 60
    tested = [np.zeros(n, int) for n in counts]
    for fold in range(1, folds + 1) if folds else (0,):
        marks = np.split(
            marks_in_order(counts, gap, folds=folds, fold=fold), np.cumsum(counts)[:-1]
        )
        for n, own, seen in zip(counts, marks, tested, strict=True):
            train, held = np.flatnonzero(own == 0), np.flatnonzero((own == 1) | (own == 2))
            distance = np.abs(train[:, None] - held)
            assert distance.min() > gap
            assert len(train) >= 1
            assert (own != LEFT_OUT).sum() >= n - gap * (2 if folds else 1)
            assert (own == 1).sum() == held_of(np.array([n - gap]))[0]
            # What is left out is near, so nothing is left out without need.
            for place in np.flatnonzero(own == LEFT_OUT):
                assert np.abs(place - held).min() <= gap
            seen += own == 2
    if folds:
        assert all((seen == 1).all() for seen in tested)


def test_marks_by_hand():
    assert marks_in_order(np.array([10, 6]), 2).tolist() == [
        *[0, 0, 0, 0, 0, 0, 3, 3, 1, 2],
        *[0, 0, 3, 3, 1, 2],
    ]
    # The second of three parts is for test, and the next example for validation.
    assert marks_in_order(np.array([12]), 2, folds=3, fold=2).tolist() == [
        *[0, 0, 3, 3, 2, 2, 2, 2, 1, 3, 3, 0]
    ]
    assert marks_of_fold(np.arange(3), np.full(3, 3), np.ones(3, int), 3, 3).tolist() == [1, 0, 2]


def test_who_has_too_few():
    """LEAF's texts have 80 characters: ten are left of 89, and 8, 1 and 1 of them are used."""
    counts = np.array([81, 82, 88, 89, 167, 168])
    assert fit_in_order(counts, 79, 3).tolist() == [False, *[True] * 5]
    assert fit_in_order(counts, 79, 10).tolist() == [*[False] * 3, *[True] * 3]
    assert fit_in_order(counts, 79, 10, folds=5).tolist() == [False] * 6
    assert fit_in_order(np.array([400]), 79, 10, folds=5).tolist() == [True]
    marks = marks_in_order(np.array([89]), 79)
    assert [(marks == part).sum() for part in range(4)] == [8, 1, 1, 79]
