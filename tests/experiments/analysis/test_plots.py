"""Pictures of one workdir and of several: files, panels, legends, names of any kind."""

import sys

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from experiments.analysis import plots
from experiments.analysis.pictures import PICTURES, style
from experiments.analysis.pictures.looks import looks
from experiments.analysis.results import Arm
from hasa_jax import UserError
from tests.experiments.analysis.workdirs import record, records, write
from tests.support.scripts import run


def figure_of(*folders):
    return PICTURES["accuracy"].figure(plots.grouped(list(folders)))


def draw(folder):
    style.save(figure_of(folder), folder / "a.png", dpi=50)


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


def test_pictures_are_drawn_into_the_first_workdir_and_what_cannot_be_is_said(tmp_path):
    for name in ("first", "second"):
        write(tmp_path / name)
    done = run("plots", f"--workdir={tmp_path / 'first'},{tmp_path / 'second'}")
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert len(lines) == len(PICTURES)
    picture = tmp_path / "first" / "merged_accuracy.png"
    assert lines[0] == str(picture)
    assert picture.read_bytes().startswith(b"\x89PNG")
    said = [line for line in lines if " is not drawn: " in line]
    reason = (
        "by_size is not drawn: it needs sizes.csv with all arms: run compare with --eval_levels"
    )
    assert reason in said
    assert len(said) == len(PICTURES) - len(list((tmp_path / "first").glob("*.png")))
    assert not list((tmp_path / "second").glob("*.png"))
    assert not (tmp_path / "first" / "accuracy.png").exists()


def test_pictures_and_formats_can_be_chosen(tmp_path):
    write(tmp_path)
    chosen = ("--pictures=macs,accuracy", "--picture_formats=svg,pdf")
    done = run("plots", f"--workdir={tmp_path}", *chosen)
    assert (done.returncode, done.stderr) == (0, "")
    names = ("macs.svg", "macs.pdf", "accuracy.svg", "accuracy.pdf")
    assert done.stdout.splitlines() == [str(tmp_path / name) for name in names]
    assert not list(tmp_path.glob("*.png"))


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        ("--pictures=rounds", "unknown --pictures 'rounds': use some of accuracy,macs,"),
        ("--picture_formats=gif", "--picture_formats=gif: name some of png,svg,pdf"),
        ("--picture_formats=", "--picture_formats=: name some of png,svg,pdf"),
        ("--pictures=by_size", "no picture can be drawn of these results"),
    ],
)
def test_bad_choices_are_one_line(flag, message, tmp_path):
    done = run("plots", f"--workdir={write(tmp_path / 'w')}", flag)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_one_legend_is_right_in_every_panel(tmp_path):
    """The second workdir lacks the first arm, and has one that the first workdir lacks."""
    one = write(tmp_path / "a", records("uniform", [0.1]) + records("hasa", [0.2]))
    other = records("hasa", [0.3]) + records("inverse_hasa", [0.4])
    two = write(tmp_path / "b", other, {"method": {"aggregation": "full"}})
    figure = figure_of(one, two)
    legend = legend_of(figure)
    assert sorted(legend) == ["hasa", "inverse_hasa", "uniform"]
    assert len(set(legend.values())) == 3
    upper, lower = figure.axes[:3], figure.axes[3:]
    for panel in upper:
        assert means_of(panel) == {legend["uniform"]: [10.0], legend["hasa"]: [20.0]}
    for panel in lower:
        assert means_of(panel) == {legend["hasa"]: [30.0], legend["inverse_hasa"]: [40.0]}


def test_seeds_and_policies_of_one_setting_share_panels(tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1]))
    two = write(tmp_path / "b", records("uniform", [0.3], 1) + records("hasa", [0.5]))
    figure = figure_of(one, two)
    assert len(figure.axes) == 3
    legend = legend_of(figure)
    assert means_of(figure.axes[0]) == {legend["uniform"]: [20.0], legend["hasa"]: [50.0]}


def test_other_data_have_panels_of_their_own(tmp_path):
    one, two = (write(tmp_path / name, records("uniform", [0.1])) for name in "ab")
    write(two, records("uniform", [0.1]), data_sha256={"0": "other"})
    titles = [part.get_suptitle() for part in figure_of(one, two).subfigs]
    assert titles == ["a (coverage aggregation)", "b (coverage aggregation)"]


def test_bands_stay_within_0_and_100_and_axes_have_units(tmp_path):
    rounds = [
        record("uniform", seed, value, round=r)
        for r in (1, 2)
        for seed, value in enumerate((0.01, 0.3))
    ]
    high = [record("hasa", seed, value) for seed, value in enumerate((0.99, 0.8))]
    figure = figure_of(write(tmp_path / "a", [*rounds, *high]))
    labels = ["mean accuracy (%)", "worst accuracy (%)", "tail accuracy (%)"]
    assert [panel.get_ylabel() for panel in figure.axes] == labels
    for panel in figure.axes:
        assert panel.get_xlabel() == "round"
        assert panel.get_ylim() == (0, 100)
        for band in panel.collections:
            heights = band.get_paths()[0].vertices[:, 1]
            assert heights.min() >= 0
            assert heights.max() <= 100
            assert np.ptp(heights) > 20
    (legend,) = figure.legends
    note = "shaded: 95 % intervals over 2 seeds, cut at 0 and 100 %"
    assert legend.get_title().get_text() == note


def test_many_arms_have_bars_side_by_side(tmp_path):
    arms = [own for number in range(6) for own in records(f"p{number}", [0.1, 0.2])]
    panel = figure_of(write(tmp_path / "a", arms)).axes[0]
    places = [line.get_xdata()[0] for line in panel.lines]
    assert len(set(places)) == 6
    assert np.mean(places) == pytest.approx(3)


def test_macs_and_bytes_are_those_of_all_rounds(tmp_path):
    costs = {"bytes_down": 2e6, "bytes_up": 1e6, "bytes_once": 5e5}
    rounds = [record("uniform", 0, 0.1, 0.25, r, **costs) for r in (2, 4)]
    groups = plots.grouped([write(tmp_path / "a", rounds)])
    at = {name: PICTURES[name].figure(groups).axes[0].lines[0] for name in ("macs", "bytes")}
    assert at["macs"].get_xdata().tolist() == [0.5, 1.0]
    assert at["bytes"].get_xdata().tolist() == [6.5, 12.5]


def test_every_arm_has_its_own_look():
    arms = [Arm("hasa", f"policy {number}") for number in range(40)]
    found = looks([*arms, *arms])
    assert len(found) == 40
    for form in (lambda look: (look.marker, look.line), lambda look: (look.colour, look.hatch)):
        assert len(set(map(form, found.values()))) == 40


def test_names_of_any_kind_are_drawn(tmp_path):
    names = ["$x^{$", "_hidden", "a\x1b[2J\nb", "long " * 40, "東京"]
    folder = write(tmp_path / "w", [own for name in names for own in records(name, [0.1, 0.2])])
    draw(folder)
    assert (folder / "a.png").stat().st_size > 5000


def test_a_name_that_begins_with_an_underscore_is_in_the_legend(tmp_path):
    figure = figure_of(write(tmp_path / "w", records("_hidden", [0.1]) + records("$x$", [0.1])))
    assert set(legend_of(figure)) == {"_hidden", r"\$x\$"}


def test_without_matplotlib_there_is_one_line(tmp_path, monkeypatch):
    write(tmp_path)
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    with pytest.raises(UserError, match="pictures need matplotlib: pip install"):
        draw(tmp_path)
