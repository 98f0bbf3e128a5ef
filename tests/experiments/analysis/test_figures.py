"""Numbers of JSON files by their paths, and cells of CSV files."""

import json

import pytest

from experiments.analysis.figures import cell_at, number_at
from hasa_jax import UserError

CONTENT = {
    "budgets": {"titles": [{"budget": 0.5, "seconds": 3}, {"budget": 1.0, "seconds": 6}]},
    "peers": [{"peer": "a", "of": "x", "n": 1}, {"peer": "a", "of": "y", "n": 0}],
}


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "raw.json"
    path.write_text(json.dumps(CONTENT), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("path", "number"),
    [
        ("budgets.titles[0].seconds", 3),
        ("budgets.titles[budget=1.0].seconds", 6),
        ("peers[peer=a&of=y].n", 0),
        ("budgets.titles[1].seconds / budgets.titles[0].seconds", 2),
    ],
)
def test_a_path_leads_to_a_number(path, number, file):
    assert number_at(file, path) == number


@pytest.mark.parametrize(
    "path",
    ["budgets", "none", "peers[peer=a].n", "peers[9].n", "peers[0].n / peers[1].n", "a / b / c"],
)
def test_other_paths_are_refused(path, file):
    with pytest.raises(UserError, match=r"raw.json has no number at"):
        number_at(file, path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"none.json has no number at 'a'"):
        number_at(tmp_path / "none.json", "a")


@pytest.fixture
def lines(tmp_path):
    path = tmp_path / "own.csv"
    path.write_text("model,size,share\n'=a,1,0.5\n'=a,2,0.25\nb,1,\n", encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "column", "text"),
    [
        ("=a / 1", "share", "0.5"),
        ("=a / 2", "share", "0.25"),
        ("b", "share", ""),
        ("b", "size", "1"),
    ],
)
def test_a_cell_is_that_of_a_row_and_a_column(row, column, text, lines):
    assert cell_at(lines, row, column) == text


@pytest.mark.parametrize(("row", "column"), [("=a", "share"), ("c", "share"), ("b", "none")])
def test_no_cell_and_several_are_refused(row, column, lines):
    with pytest.raises(UserError, match=r"own.csv has not one row '.*' with a column"):
        cell_at(lines, row, column)
