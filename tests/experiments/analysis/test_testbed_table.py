import numpy as np
import pytest

from experiments.analysis.pictures import testbed as testbed_picture
from experiments.analysis.rendering import markdown, terminal
from experiments.analysis.testbed_table import CORRELATIONS, Place, folder_of, gains_of, tables_of
from hasa_jax.base import UserError
from tests.experiments.analysis.workdirs import records, write

PLACES = [Place(score, size) for score in CORRELATIONS for size in CORRELATIONS]


def cell(root, place, *arms):
    """Writes a cell: accuracies of the seeds of each policy."""
    summary = [own for policy, accuracies in arms for own in records(policy, accuracies)]
    write(folder_of(root, place), summary)


def grid(root, gain, places=PLACES, seeds=6):
    """Writes cells in which hasa gains so much, and random nothing; noise has a mean of zero."""
    noise, base = np.linspace(-3e-4, 3e-4, seeds), np.linspace(0.2, 0.4, seeds)
    for place in places:
        values = {"uniform": base, "hasa": base + gain(place) + noise, "random": base - noise}
        cell(root, place, *((policy, own.tolist()) for policy, own in values.items()))


def test_each_gain_is_in_its_cell(tmp_path):
    grid(tmp_path, lambda place: 0.02 * place.score + 0.005 * place.size)
    gains = gains_of(tmp_path, "")
    assert (gains.policies, gains.reference) == (("hasa", "random"), "uniform")
    assert gains.places == tuple(PLACES)
    for place in PLACES:
        found = gains.found["mean", place, "hasa"]
        expected = 2 * place.score + 0.5 * place.size
        assert found.differences.mean() == pytest.approx(expected)
        word = "better" if expected > 0 else "worse" if expected < 0 else "not told apart"
        assert found.verdict == word
        assert gains.found["mean", place, "random"].verdict == "not told apart"


def test_verdicts_are_those_of_all_cells_at_once(tmp_path):
    """A difference that one test tells from chance is one of many in the grid."""
    places = PLACES[:1]
    grid(tmp_path / "one", lambda place: 0.00037, places)
    grid(tmp_path / "nine", lambda place: 0.00037 * (place == PLACES[0]))
    verdicts = [
        gains_of(tmp_path / name, "").found["mean", PLACES[0], "hasa"].verdict
        for name in ("one", "nine")
    ]
    assert verdicts == ["better", "not told apart"]


def test_the_reference_can_be_named(tmp_path):
    grid(tmp_path, lambda place: 0.02)
    gains = gains_of(tmp_path, "hasa")
    assert gains.reference == "hasa"
    assert gains.found["mean", PLACES[0], "uniform"].verdict == "worse"


def test_other_budgets_are_not_compared(tmp_path):
    base = records("uniform", [0.1, 0.2])
    write(folder_of(tmp_path, PLACES[0]), base + records("hasa", [0.3, 0.4], budget=0.6))
    gains = gains_of(tmp_path, "")
    assert gains.unmatched == {PLACES[0]: ["hasa"]}
    assert not gains.found
    assert "score+1_size+1: budgets of hasa do not match." in tables_of(gains)[0].notes


def test_what_measuring_adds_is_said(tmp_path):
    need = [own | {"budget_executed": "1.03"} for own in records("need", [0.3, 0.4])]
    write(folder_of(tmp_path, PLACES[0]), records("uniform", [0.1, 0.2]) + need)
    plain = " ".join(tables_of(gains_of(tmp_path, ""))[0].notes)
    assert "need in score+1_size+1: its measurements are in the executed MACs (1.030 of" in plain


def test_several_methods_are_refused(tmp_path):
    other = [own | {"method": "fedavg"} for own in records("uniform", [0.1, 0.2])]
    write(folder_of(tmp_path, PLACES[0]), records("uniform", [0.1, 0.2]) + other)
    with pytest.raises(UserError, match="several methods"):
        gains_of(tmp_path, "")


def test_missing_cells_are_counted(tmp_path):
    grid(tmp_path, lambda place: 0.02, PLACES[:2])
    tables = tables_of(gains_of(tmp_path, ""))
    assert [table.name for table in tables] == ["testbed_mean", "testbed_worst", "testbed_tail"]
    assert [cell.text for cell in tables[0].rows[0]][:2] == ["score shows who needs width", "hasa"]
    text = terminal.document(tables)
    assert "7 of 9 cells are missing." in text
    assert "+2.0" in text
    assert "▲" in text
    assert max(map(len, text.splitlines())) <= 100


def test_cells_without_records_of_clients_are_read(tmp_path):
    """Differences are of summary.csv; committed results leave the large file out."""
    grid(tmp_path, lambda place: 0.02, PLACES[:1])
    before = tables_of(gains_of(tmp_path, ""))
    (folder_of(tmp_path, PLACES[0]) / "metrics.csv").unlink()
    assert tables_of(gains_of(tmp_path, "")) == before
    assert "| score shows who needs width | hasa " in markdown.document(before)


def test_no_cell_is_an_error(tmp_path):
    with pytest.raises(UserError, match="no cell"):
        gains_of(tmp_path, "")


def test_the_picture_shows_every_gain(tmp_path):
    pytest.importorskip("matplotlib")
    grid(tmp_path, lambda place: 0.02 * place.score, PLACES[:4])
    gains = gains_of(tmp_path, "")
    figure = testbed_picture.figure_of(gains)
    assert len(figure.axes) == 9
    # A mean and a worst marker for each of two policies, in four cells.
    assert [len(panel.containers) for panel in figure.axes] == [4] * 4 + [0] * 5
    places = [bar.lines[0].get_xdata()[0] for bar in figure.axes[0].containers]
    assert places[0] == pytest.approx(gains.found["mean", PLACES[0], "hasa"].differences.mean())


def test_verdicts_are_told_apart_without_colour():
    looks = testbed_picture.MARKS.values()
    assert len({look[1:] for look in looks}) == len(looks)
