"""Accuracy over rounds, of one workdir and of several."""

import sys

import pytest

from experiments.analysis import plots
from hasa_jax import UserError
from tests.experiments.analysis.test_tables import results
from tests.support.scripts import run


def test_a_figure_is_drawn_into_the_first_workdir(tmp_path):
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        results(tmp_path / name)
    done = run("plots", f"--workdir={tmp_path / 'first'},{tmp_path / 'second'}")
    assert (done.returncode, done.stderr) == (0, "")
    picture = tmp_path / "first" / "accuracy.png"
    assert done.stdout == f"{picture}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "second" / "accuracy.png").exists()


def test_without_matplotlib_there_is_one_line(tmp_path, monkeypatch):
    results(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="plots need matplotlib: pip install"):
        plots.accuracy_over_rounds([tmp_path], tmp_path / "a.png")
