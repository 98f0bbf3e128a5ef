"""Tables and picture of a benchmark suite, of small results made by hand."""

import csv
import io
import math

import numpy as np
import pytest

from experiments.analysis import statistics, suite_table
from experiments.analysis.pictures import frontier, style, suite
from experiments.analysis.rendering import terminal
from experiments.analysis.suite_results import Outcome, compared, ranks
from experiments.analysis.table import Cell
from experiments.study.suite import LeftOut, Suite, Task

OPEN = statistics.verdict(0.0, math.nan)
T_OF_THREE = 4.302653
"""Quantile of Student's t at 97.5 %, of two degrees of freedom."""


def suite_of(*tasks, seeds=3):
    made = tuple(Task(name, f"Task {name}", (), {}, {}, {}) for name in tasks)
    left_out = (LeftOut("one", "scalefl", (0.25, 0.5), "it has no exits"),)
    return Suite("tiny", "a:u", range(seeds), made, left_out)


def text_of(suite, outcomes, remarks):
    """The content of benchmark.md."""
    return suite_table.text_of(suite, suite_table.tables_of(suite, outcomes, remarks))


def outcome(arm, accuracies, task="one", budget=0.5, macs=(0.5,) * 3, megabytes=1.0, executed=1.0):
    values = dict(enumerate(map(float, accuracies)))
    achieved = dict(zip(values, macs, strict=False))
    costs = {"budget_macs": float(np.mean(macs)), "budget_executed": executed}
    costs |= dict.fromkeys(("bytes_down", "bytes_up"), megabytes * 1e6)
    return Outcome(task, budget, arm, 3, values, values, achieved, costs)


def test_differences_are_paired_and_corrected():
    outcomes = compared(
        [outcome("a:u", [10, 12, 14]), outcome("b:u", [12, 14, 16.1]), outcome("c:u", [5, 14, 10])],
        "a:u",
    )
    reference, better, wide = outcomes
    assert (reference.verdict, reference.rank) == ("reference", 2)
    assert better.differences == pytest.approx((2, 2, 2.1))
    # t of (2, 2, 2.1) is 61, of two degrees of freedom p is .00027, and Holm doubles it.
    values = np.array(better.differences)
    t = values.mean() / (values.std(ddof=1) / math.sqrt(3))
    p = 1 - t / math.sqrt(2 + t**2)  # Student's t of two degrees of freedom, both sides.
    assert better.p == pytest.approx(2 * p, rel=1e-4)
    assert (better.verdict, better.rank) == ("better", 1)
    assert (wide.verdict, wide.rank) == (OPEN, 3)
    assert wide.p >= better.p


def test_worse_unmatched_and_single_seeds_are_said():
    outcomes = compared(
        [
            outcome("a:u", [10, 12, 14]),
            outcome("b:u", [1, 3, 5.1]),
            outcome("c:u", [9, 9, 9], macs=[0.52] * 3),
            outcome("d:u", [7]),
            outcome("e:u", [10, 12, 14]),
            outcome("f:u", []),
        ],
        "a:u",
    )
    assert [own.verdict for own in outcomes] == [
        "reference", "worse", "not matched in MACs", "too few seeds", OPEN, "",
    ]  # fmt: skip
    # Equal means share their ranks, and what is not there has none.
    assert [own.rank for own in outcomes[:-1]] == [1.5, 5, 3, 4, 1.5]
    assert math.isnan(outcomes[-1].rank)
    assert outcomes[2].differences == ()


def test_budgets_must_match_on_every_seed():
    """As in the other tables: means that agree, or a number that is missing, are no match."""
    for macs in ([0.55, 0.45, 0.5], [0.5, math.nan, 0.5]):
        arms = [outcome("a:u", [10, 12, 14]), outcome("b:u", [1, 3, 5.1], macs=macs)]
        assert compared(arms, "a:u")[1].verdict == "not matched in MACs"


def test_what_measuring_adds_is_said():
    arms = [outcome("a:u", [10, 12, 14]), outcome("a:need", [10, 13, 14], executed=1.03)]
    outcomes = compared(arms, "a:u")
    text = " ".join(text_of(suite_of("one"), outcomes, []).split())
    assert "a:need on one, B 0.5: its measurements are in the executed MACs (1.030 of" in text
    lines = list(csv.DictReader(io.StringIO(suite_table.csv_of(suite_of("one"), outcomes))))
    assert [line["budget_executed"] for line in lines] == ["1.0", "1.03", "", ""]


def test_ranks_are_means_over_tasks():
    outcomes = [
        *compared([outcome("a:u", [1, 2, 3]), outcome("b:u", [2, 3, 4])], "a:u"),
        *compared([outcome("a:u", [9, 9, 9], "two"), outcome("b:u", [2, 3, 4], "two")], "a:u"),
        *compared([outcome("a:u", [1, 1, 1], budget=0.25)], "a:u"),
    ]
    assert ranks(outcomes) == {"a:u": {0.5: [2, 1], 0.25: [1]}, "b:u": {0.5: [1, 2]}}
    text = text_of(suite_of("one", "two"), outcomes, ["2 runs: 2 done."])
    ranked = next(line for line in text.splitlines() if line.startswith("| a:u"))
    assert [cell.strip() for cell in ranked.split("|")[2:5]] == ["1.0", "1.5", "2"]


def test_the_text_has_intervals_costs_and_what_does_not_apply():
    outcomes = compared([outcome("a:u", [10, 12, 14]), outcome("b:u", [12, 14, 16.1])], "a:u")
    text = text_of(suite_of("one"), outcomes, ["3 runs: 3 done."])
    half = T_OF_THREE * 2 / math.sqrt(3)
    assert f"12.00 ± {half:.2f}" in text
    assert "| better" in text
    assert "0.500" in text
    assert "does not apply: scalefl on one, B 0.25, 0.5: it has no exits." in text
    assert "2 arms of all tasks and budgets do not apply" in text
    assert "3 runs: 3 done." in text


def test_tables_have_numbers_for_every_medium():
    outcomes = compared([outcome("a:u", [10, 12, 14]), outcome("b:u", [12])], "a:u")
    ranked, of_task = suite_table.tables_of(suite_of("one"), outcomes, ["1 run: 1 done."])
    assert (ranked.name, of_task.name) == ("benchmark_ranks", "benchmark_one")
    assert ranked.cell("a:u", "B 0.5").value == 1.5
    assert of_task.cell("b:u", "mean %") == Cell("12.00 [1 of 3]", 12)
    assert of_task.cell("a:u", "MB").value == 2
    assert ranked.notes[-1] == "1 run: 1 done."
    # Markdown has them at the left, terminals at the right.
    assert "| a:u       | 1.5   |" in suite_table.text_of(suite_of("one"), (ranked, of_task))
    assert "Task one (one):" in terminal.document((ranked, of_task))


def test_numbers_go_to_csv():
    outcomes = compared([outcome("a:u", [10, 12, 14]), outcome("b:u", [12])], "a:u")
    lines = list(csv.DictReader(io.StringIO(suite_table.csv_of(suite_of("one"), outcomes))))
    assert [line["arm"] for line in lines] == ["a:u", "b:u", "scalefl", "scalefl"]
    assert float(lines[0]["mean_accuracy"]) == 12
    assert float(lines[0]["mean_interval"]) == pytest.approx(T_OF_THREE * 2 / math.sqrt(3))
    assert (lines[1]["mean_interval"], lines[1]["seeds"], lines[1]["of"]) == ("", "1", "3")
    assert float(lines[0]["bytes_up"]) == 1e6
    assert lines[2]["verdict"] == "does not apply: it has no exits"
    assert all(None not in line and None not in line.values() for line in lines)


def test_the_front_is_what_no_other_point_beats():
    points = [(1, 10), (2, 9), (2, 12), (3, 12), (4, 15), (1, 10)]
    assert frontier.pareto_front(points) == [(1, 10), (2, 12), (4, 15)]
    assert frontier.pareto_front([]) == []


def test_the_picture_has_a_column_for_each_task(tmp_path):
    pytest.importorskip("matplotlib")
    outcomes = [
        *compared([outcome("a:u", [10, 12, 14], budget=0.25, macs=[0.25] * 3)], "a:u"),
        *compared([outcome("a:u", [12, 13, 14]), outcome("b:u", [20])], "a:u"),
        *compared([outcome("a:u", [50, 60, 70], "two", megabytes=math.nan)], "a:u"),
    ]
    figure = suite.figure_of(suite_of("one", "two", "empty"), outcomes)
    style.save(figure, tmp_path / "b.png")
    assert (tmp_path / "b.png").stat().st_size > 10_000
    assert [panel.get_title() for panel in figure.axes[:2]] == ["Task one", "Task two"]
    # Of the second task no bytes are known.
    assert [len(panel.lines) for panel in figure.axes] == [3, 1, 3, 0]
