"""Mean, worst and tail by hand."""

import numpy as np
import pytest

from hasa_jax.simulation.summary import summarize


def test_summary_by_hand():
    accuracy = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7])
    summary = summarize(accuracy, np.array([1, 1, 1, 1, 1, 1, 4]))
    assert summary.mean == pytest.approx(0.4)
    assert summary.weighted == pytest.approx(0.49)
    assert summary.worst == pytest.approx(0.1)
    assert summary.tail == pytest.approx(0.15)
    assert summary.std == pytest.approx(0.2)
    assert summarize(accuracy, np.ones(7), tail_fraction=0.0).tail == pytest.approx(0.1)
    assert summarize(accuracy, np.ones(7), tail_fraction=1.0).tail == pytest.approx(0.4)


def test_clients_without_examples_are_left_out():
    summary = summarize(np.array([0.5, np.nan, 0.1]), np.array([1, 0, 3]))
    assert (summary.mean, summary.worst) == (pytest.approx(0.3), 0.1)
    assert summary.weighted == pytest.approx(0.2)
    assert np.isnan(summarize(np.full(3, np.nan), np.zeros(3)).mean)
