"""Committed figures that the project can compute again."""

import csv
import io

import pytest

from experiments.analysis import coverage, empty_layers
from tests.support.scripts import ROOT

RESULTS = ROOT / "experiments" / "results"


def lines_of(path):
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.reader(file))


def test_the_simulation_of_the_stopping_rule_is_that_of_the_code():
    """One of the rules; the others take as long each."""
    path = RESULTS / "stopping_rule" / "coverage.csv"
    headers, *lines = lines_of(path)
    cases = [(int(line[0]), int(line[1]), float(line[2])) for line in lines]
    assert tuple(cases) == coverage.CASES
    at = cases.index((10, 1, 1.0))
    found = coverage.simulated(10, 1, 1.0, runs=coverage.RUNS)
    assert headers[3:] == list(found._fields)
    assert list(map(float, lines[at][3:])) == pytest.approx(list(found), rel=1e-3)


@pytest.mark.slow
def test_empty_layers_are_those_of_the_code(capsys):
    empty_layers.main()
    found = list(csv.reader(io.StringIO(capsys.readouterr().out)))
    assert found == lines_of(RESULTS / "fiarse_four" / "empty_layers.csv")
