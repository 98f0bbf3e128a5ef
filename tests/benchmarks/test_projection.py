"""The cost of a round on paper, by hand."""

import csv
import io
import sys

import pytest

from benchmarks import projection
from benchmarks.projection import Totals, cost_of

TOTALS = Totals(flops=8e9, message=1_000_000, data=4e6, parameters=800)


def test_one_device_sends_nothing_and_a_ring_nearly_two_messages():
    assert cost_of(TOTALS, 1) == (8e9, 0.0, 4e6, 800.0)
    assert cost_of(TOTALS, 4) == (2e9, 1_500_000.0, 1e6, 800.0)
    assert cost_of(TOTALS, 4, model=2) == (1e9, 750_000.0, 1e6, 400.0)


def test_a_line_of_csv_for_each_number_of_devices(monkeypatch, capsys):
    monkeypatch.setattr(projection, "totals_of", lambda workload, cohort: TOTALS)
    monkeypatch.setattr(projection, "WORKLOADS", {"own": lambda engine: None})
    own = ["--workload=own", "--devices=1,4", "--cohort=8", "--flops=1e12", "--bandwidth=1e9"]
    monkeypatch.setattr(sys, "argv", ["projection", *own])
    projection.main()
    one, four = csv.DictReader(io.StringIO(capsys.readouterr().out))
    assert float(one["sum_ms"]) == float(one["even_clients"]) == 0.0
    assert float(four["training_ms"]) == pytest.approx(2.0)
    assert float(four["sum_ms"]) == pytest.approx(1.5)
    # A client takes a millisecond, and the sum as long as one and a half of them.
    assert float(four["even_clients"]) == pytest.approx(1.5)
