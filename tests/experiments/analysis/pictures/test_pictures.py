"""Every picture of the table, of suites and of the testbed: references, and what all must keep."""

import itertools
import pathlib
import re

import numpy as np
import pytest
from matplotlib.colors import to_rgb
from matplotlib.lines import Line2D

from experiments.analysis.pictures import PICTURES, Lacking, style
from experiments.analysis.pictures.difference import (
    DRAWN_WITH,
    TOLERANCE,
    comparable,
    difference,
    same,
)
from experiments.analysis.pictures.looks import HATCHES
from hasa_jax import UserError
from tests.experiments.analysis import workdirs
from tests.experiments.analysis.pictures import examples
from tests.experiments.analysis.pictures.examples import ARMS_OF, NAMES
from tests.support.scripts import ROOT

REFERENCE = pathlib.Path(__file__).with_name("reference")
DPI = 40
"""Of the references, so that they are small."""

WITHOUT_LEGENDS = ("clients", "coverage")
"""Pictures whose arms are named beside their panels and lines."""


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("pictures")


@pytest.fixture(scope="module")
def figures(root):
    """Every picture by name, drawn once; laid out when the first test saves it."""
    return examples.drawn(root)


@pytest.fixture(scope="module")
def saved(root, figures):
    """The files of all pictures."""
    for name, figure in figures.items():
        figure.set_dpi(DPI)
        style.save(figure, root / f"{name}.png", dpi=DPI)
    return {name: (root / f"{name}.png").read_bytes() for name in figures}


@pytest.mark.parametrize("name", NAMES)
def test_a_picture_is_that_of_its_reference(name, saved):
    """`python -m tests.experiments.analysis.pictures.remake` makes the references."""
    if not comparable():
        pytest.skip(f"the references are of matplotlib {DRAWN_WITH}, as constraints.txt has it")
    assert difference(saved[name], (REFERENCE / f"{name}.png").read_bytes()) <= TOLERANCE
    assert (REFERENCE / f"{name}.png").stat().st_size < 20_000


def test_every_reference_is_of_a_picture():
    assert {path.stem for path in REFERENCE.iterdir()} == set(NAMES)


def test_references_are_of_the_pinned_version():
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8")
    assert f"\nmatplotlib=={DRAWN_WITH}." in pinned


@pytest.mark.slow
def test_an_arm_that_reaches_more_is_seen_by_the_image_diff(root, saved, monkeypatch):
    """What the comparison is for: a change of numbers, of a colour, of a label."""
    folder = root / "changed"
    monkeypatch.setitem(examples.ARMS, "hasa", 0.37)
    groups = examples.groups(folder)
    for name in ("macs", "bytes", "histogram"):
        changed = style.content_of(PICTURES[name].figure(groups[:1]), "png", DPI)
        found = difference(changed, saved[name])
        assert (found > TOLERANCE) == (name != "histogram")  # Which has no accuracies.


@pytest.mark.slow
def test_other_looks_are_seen_by_the_image_diff(root, saved, figures):
    figure = PICTURES["accuracy"].figure(examples.groups(root))
    for panel in figure.axes:
        panel.lines[0].set(linestyle=":", marker="x")
    assert not same(style.content_of(figure, "png", DPI), saved["accuracy"])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "suffixes"), [("coverage", ["svg"]), ("histogram", ["svg", "pdf", "png"])]
)
def test_equal_pictures_have_equal_bytes(name, suffixes, root):
    contents = []
    for _ in range(2):
        figure = PICTURES[name].figure(examples.groups(root)[:1])
        contents.append([style.content_of(figure, suffix) for suffix in suffixes])
    assert contents[0] == contents[1]
    starts = [b"<?xml", b"%PDF-", b"\x89PNG\r"]
    assert [content[:5] for content in contents[0]] == starts[: len(suffixes)]
    for content in contents[0]:
        assert not re.search(rb"20[0-9]{2}-[0-9]{2}-[0-9]{2}|CreationDate", content)


@pytest.mark.parametrize("name", NAMES)
def test_every_axis_has_a_label_and_a_unit(name, figures):
    panels = figures[name].axes
    assert panels
    for panel in panels:
        shared = panel.get_shared_x_axes().get_siblings(panel)
        labels = [own.get_xlabel() for own in shared] + [_label(panel, panels, "y")]
        assert any(labels[:-1]) or not panel.get_xticks().size, panel
        assert labels[-1] or not panel.get_yticks().size, panel
        text = f"{panel.get_xlabel()} {panel.get_ylabel()}"
        if "accuracy" in text and name != "testbed":
            assert re.search(r"accuracy.*\(%\)", text)


def _label(panel, panels, axis):
    """The label of an axis: its own, or that of a panel that shares it in the same row."""
    siblings = panel.get_shared_y_axes().get_siblings(panel)
    row = [own for own in siblings if own.get_position().y0 == panel.get_position().y0]
    return panel.get_ylabel() or next((own.get_ylabel() for own in row if own.get_ylabel()), "")


@pytest.mark.parametrize("name", NAMES)
def test_axes_are_within_what_is_possible_and_show_all_points(name, figures):
    for panel in figures[name].axes:
        low, high = panel.get_ylim()
        if "accuracy" in panel.get_ylabel():
            assert 0 <= low < high <= 100
            for line in panel.lines:
                heights = np.asarray(line.get_ydata(), float)
                assert low <= heights.min() <= heights.max() <= high
        if "share" in panel.get_xlabel():
            assert panel.get_xlim() == (0, 1)


@pytest.mark.parametrize("name", NAMES)
def test_a_legend_names_each_arm_once(name, figures):
    assert len(figures[name].legends) <= 1
    legends = legends_of(figures[name])
    assert bool(legends) == (name not in WITHOUT_LEGENDS)
    for legend in legends:
        texts = [text.get_text() for text in legend.get_texts()]
        assert len(set(texts)) == len(texts) > 0
    names = [text.get_text() for legend in legends for text in legend.get_texts()]
    if name in ARMS_OF:
        assert set(names) == ARMS_OF[name]


@pytest.mark.parametrize("name", NAMES)
def test_arms_are_told_apart_in_grey(name, figures):
    """By the style of a line, a marker or a hatch; else by how light the colours are.

    More bars than there are hatches are told apart by colour and hatch.
    """
    for legend in legends_of(figures[name]):
        marks = [_in_grey(handle) for handle in legend.legend_handles]
        assert marks
        if len(marks) > len(HATCHES) and not isinstance(legend.legend_handles[0], Line2D):
            fills = [(own.get_hatch(), own.get_facecolor()) for own in legend.legend_handles]
            assert len(set(fills)) == len(fills)
            continue
        for (one, light), (other, lighter) in itertools.combinations(marks, 2):
            assert one != other or abs(light - lighter) > 0.1


def legends_of(figure):
    """All legends: that below the figure, and those of its panels."""
    return [*figure.legends, *filter(None, [panel.get_legend() for panel in figure.axes])]


def _in_grey(handle):
    """What is left of a mark without its hue: its form, and how light it is."""
    if isinstance(handle, Line2D):
        filled = handle.get_markerfacecolor() != "white"
        form = (handle.get_linestyle(), handle.get_marker(), filled)
        return form, _luminance(handle.get_color())
    return handle.get_hatch(), _luminance(handle.get_facecolor())


def _luminance(colour):
    return float(np.dot((0.2126, 0.7152, 0.0722), to_rgb(colour)))


@pytest.mark.parametrize("name", NAMES)
def test_all_texts_are_inside_and_as_large_as_a_journal_asks(name, figures, saved):
    figure = figures[name]
    assert figure.get_figwidth() == pytest.approx(style.COLUMN) or figure.get_figwidth() <= 7.2
    drawn = [
        text
        for text in figure.findobj(lambda own: hasattr(own, "get_fontsize"))
        if text.get_visible() and text.get_text().strip()
    ]
    assert drawn
    assert {text.get_fontsize() for text in drawn} <= {7.0, 8.0, 9.0}
    width, height = figure.bbox.size
    for text in drawn:
        box = text.get_window_extent()
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= width + 1 and box.y1 <= height + 1
        assert inside or not _shown(text, figure), text.get_text()


def _shown(text, figure):
    """Whether a text is drawn: labels of ticks beyond the limits of an axis are not."""
    for panel in figure.axes:
        for axis, (low, high) in ((panel.xaxis, panel.get_xlim()), (panel.yaxis, panel.get_ylim())):
            for tick in axis.get_major_ticks() + axis.get_minor_ticks():
                if text in (tick.label1, tick.label2):
                    return min(low, high) <= tick.get_loc() <= max(low, high)
    return True


def test_the_entries_of_the_table_say_what_they_show():
    for name, own in PICTURES.items():
        assert name.isidentifier()
        assert own.title
        assert own.about.endswith(".")
        assert "it needs" in own.about.lower() or name == "accuracy"


def test_the_documents_have_every_picture():
    text = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    table = text.split("| `--pictures` |")[1].split("\n\n")[0]
    assert re.findall(r"^\| `(\w+)`", table, re.MULTILINE) == list(PICTURES)


def test_what_results_lack_is_said(tmp_path):
    """A workdir of one round, one budget and no further tables."""
    summary = workdirs.records("uniform", [0.1, 0.2], budget="")
    workdirs.write(tmp_path / "w", summary)
    groups = examples.plots.grouped([tmp_path / "w"])
    reasons = {}
    for name, own in PICTURES.items():
        try:
            own.figure(groups)
        except Lacking as reason:
            reasons[name] = str(reason)
    assert set(PICTURES) - set(reasons) == {"accuracy", "clients"}
    assert "budget_macs" in reasons["macs"]
    assert "bytes_down" in reasons["bytes"]
    assert "need" in reasons["need"]
    assert "eval_levels" in reasons["by_size"]


def test_other_formats_are_refused(tmp_path, figures):
    with pytest.raises(UserError, match=r"a\.gif is no picture: its suffix must be one of png"):
        style.save(figures["macs"], tmp_path / "a.gif")


@pytest.mark.slow
def test_settings_of_the_user_do_not_count(root, saved):
    import matplotlib

    with matplotlib.rc_context({"font.size": 20, "lines.linewidth": 9, "savefig.dpi": 7}):
        figure = PICTURES["macs"].figure(examples.groups(root)[:1])
        assert style.content_of(figure, "png", DPI) == saved["macs"]
