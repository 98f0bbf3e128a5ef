"""Accuracy over rounds, of one workdir and of several."""

import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from experiments.analysis import curves, plots
from experiments.analysis.results import Arm
from hasa_jax import UserError
from tests.experiments.analysis.workdirs import record, records, write
from tests.support.scripts import run


@pytest.fixture
def drawn(monkeypatch):
    """Figures that would be written."""
    figures = []
    monkeypatch.setattr(curves, "save", lambda figure, target: figures.append(figure))
    return figures


def legend_of(figure):
    """Returns the colour and line style of every name of the legend."""
    (legend,) = figure.legends
    return {
        text.get_text().strip(): (to_rgba(line.get_color()), line.get_linestyle())
        for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }


def means_of(panel):
    """Returns the heights of every curve, by its colour and line style."""
    return {
        (to_rgba(line.get_color()), line.get_linestyle()): np.round(line.get_ydata(), 6).tolist()
        for line in panel.get_lines()
    }


def draw(*folders):
    plots.accuracy_over_rounds(plots.panels_of(plots.grouped(list(folders))), folders[0] / "a.png")


def test_a_figure_is_drawn_into_the_first_workdir(tmp_path):
    for name in ("first", "second"):
        write(tmp_path / name)
    done = run("plots", f"--workdir={tmp_path / 'first'},{tmp_path / 'second'}")
    assert (done.returncode, done.stderr) == (0, "")
    picture = tmp_path / "first" / "accuracy.png"
    assert done.stdout == f"{picture}\n"
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert not (tmp_path / "second" / "accuracy.png").exists()


def test_one_legend_is_right_in_every_panel(drawn, tmp_path):
    """The second workdir lacks the first arm, and has one that the first workdir lacks."""
    one = write(tmp_path / "a", records("uniform", [0.1]) + records("hasa", [0.2]))
    other = records("hasa", [0.3]) + records("inverse_hasa", [0.4])
    two = write(tmp_path / "b", other, {"method": {"aggregation": "full"}})
    draw(one, two)
    legend = legend_of(drawn[0])
    assert sorted(legend) == ["hasa", "inverse_hasa", "uniform"]
    assert len(set(legend.values())) == 3
    upper, lower = drawn[0].axes[:3], drawn[0].axes[3:]
    for panel in upper:
        assert means_of(panel) == {legend["uniform"]: [10.0], legend["hasa"]: [20.0]}
    for panel in lower:
        assert means_of(panel) == {legend["hasa"]: [30.0], legend["inverse_hasa"]: [40.0]}


def test_seeds_and_policies_of_one_setting_share_panels(drawn, tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1]))
    two = write(tmp_path / "b", records("uniform", [0.3], 1) + records("hasa", [0.5]))
    draw(one, two)
    assert len(drawn[0].axes) == 3
    legend = legend_of(drawn[0])
    assert means_of(drawn[0].axes[0]) == {legend["uniform"]: [20.0], legend["hasa"]: [50.0]}


def test_other_data_have_panels_of_their_own(drawn, tmp_path):
    one, two = (write(tmp_path / name, records("uniform", [0.1])) for name in "ab")
    other = {"data_sha256": {"0": "other"}}
    write(two, records("uniform", [0.1]), **other)
    draw(one, two)
    assert [panel.get_title() for panel in drawn[0].axes[::3]] == [
        "mean client\ncoverage aggregation, a",
        "mean client\ncoverage aggregation, b",
    ]


def test_bands_stay_within_0_and_100_and_axes_have_units(drawn, tmp_path):
    rounds = [
        record("uniform", seed, value, round=r)
        for r in (1, 2)
        for seed, value in enumerate((0.01, 0.3))
    ]
    high = [record("hasa", seed, value) for seed, value in enumerate((0.99, 0.8))]
    draw(write(tmp_path / "a", [*rounds, *high]))
    for panel in drawn[0].axes:
        assert panel.get_xlabel() == "round"
        assert panel.get_ylabel() == "test accuracy (%)"
        for band in panel.collections:
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.min() >= 0
            assert heights.max() <= 100
            assert np.ptp(heights) > 20


def test_every_arm_has_its_own_look():
    arms = [Arm("hasa", f"policy {number}") for number in range(40)]
    found = curves.looks([*arms, *arms])
    assert len(set(found.values())) == len(found) == 40
    assert found[arms[1]] == ("C1", "-")


@pytest.mark.parametrize("name", ["$x^{$", "_hidden", "a\x1b[2J\nb", "long " * 40, "東京"])
def test_names_of_any_kind_are_drawn(name, tmp_path):
    folder = write(tmp_path / "w", records(name, [0.1, 0.2]) + records("hasa", [0.1, 0.2]))
    draw(folder)
    assert (folder / "a.png").stat().st_size > 5000


def test_a_name_that_begins_with_an_underscore_is_in_the_legend(drawn, tmp_path):
    draw(write(tmp_path / "w", records("_hidden", [0.1]) + records("$x$", [0.1])))
    assert set(legend_of(drawn[0])) == {"_hidden", r"\$x\$"}


def test_without_matplotlib_there_is_one_line(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(UserError, match="plots need matplotlib: pip install"):
        draw(tmp_path)
