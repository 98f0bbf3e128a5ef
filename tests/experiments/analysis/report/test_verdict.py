"""The verdict in words, and the differences side by side."""

import numpy as np
import pytest

from experiments.analysis import results
from experiments.analysis.compared import compared_of
from experiments.analysis.report.forest import forest_of
from experiments.analysis.report.verdict import Finding, findings_of, paragraph
from experiments.analysis.tables import tables_of
from experiments.rooms import ComparisonConfig
from tests.experiments.analysis.report.populations import write_population
from tests.experiments.analysis.workdirs import records, write

NAMES = ["a", "b", "c"]


def compared(folder, **comparison):
    return compared_of(results.read([folder]), ComparisonConfig(**comparison))


def test_each_verdict_has_a_sentence(tmp_path):
    folder = write_population(tmp_path, NAMES, seeds=6)
    text = paragraph(compared(folder), "titles", 3)
    assert text.startswith(
        "Policies uniform, hasa and inverse_hasa are compared on titles: 3 clients, a budget of "
        "0.5 in width, 6 matched seeds."
    )
    assert "Better than uniform at 6 seeds: hasa (+2.87" in text
    assert (
        "Worse than uniform: inverse_hasa (\N{MINUS SIGN}3." in text or "(\N{MINUS SIGN}4." in text
    )
    assert "Not told apart" not in text


def test_the_words_are_those_of_the_table(tmp_path):
    folder = write_population(tmp_path, NAMES, seeds=4, gains=(0, 0.0005, -0.04))
    found = results.read([folder])
    headline = tables_of(found, ComparisonConfig())[0]
    verdicts = {cells[0].text: cells[-1].text for cells in headline.rows}
    for own in findings_of(compared(folder), 9):
        assert verdicts[own.label].startswith(own.word)


def test_too_few_seeds_for_the_exact_test_are_said(tmp_path):
    said = (
        "The verdict on hasa, inverse_hasa rests only on the t test: p of exact sign flips cannot "
        "be below 0.0625 with 5 seeds."
    )
    for seeds in (5, 6):
        folder = write_population(tmp_path / str(seeds), NAMES, seeds=seeds)
        assert (said in paragraph(compared(folder), "titles", 3)) == (seeds < 6)


def test_other_costs_at_a_matched_budget_are_said(tmp_path):
    uniform = records("uniform", [0.1, 0.12], budget_macs=0.3, budget_params=0.26)
    hasa = records("hasa", [0.2, 0.22], budget_macs=0.354, budget_params=0.27)
    folder = write(tmp_path / "w", uniform + hasa)
    said = (
        "Budgets match in width, but not in MACs (uniform 0.300; hasa 0.354, +18 %), as shares of "
        "the supernet's."
    )
    assert paragraph(compared(folder), "", 1).endswith(said)
    assert said in tables_of(results.read([folder]), ComparisonConfig())[0].notes
    # Arms that do not match are not compared at all.
    assert said not in paragraph(compared(folder, matched="macs"), "", 1)


def test_costs_within_a_twentieth_are_not_said(tmp_path):
    uniform = records("uniform", [0.1, 0.12], budget_macs=0.3)
    hasa = records("hasa", [0.2, 0.22], budget_macs=0.315)
    assert "but not in" not in paragraph(compared(write(tmp_path / "w", uniform + hasa)), "", 1)


def test_both_rounds_are_said_if_they_differ(tmp_path):
    summary = []
    for round, gain in ((3, 0.0), (6, 0.05)):
        noise = np.array([0.001, -0.001, 0.0005, -0.0004])
        summary += records("uniform", [0.1] * 4, round=round)
        summary += records("hasa", list(0.1 + gain + noise), round=round)
    text = paragraph(compared(write(tmp_path / "w", summary)), "", 1)
    # Accuracies of validation are equal, so the first round is chosen.
    assert "At round 3, the best by validation accuracy of uniform, uniform reaches" in text
    assert "Not told apart from uniform at 4 seeds: hasa (+0.00" in text
    assert "At the last round, 6, uniform reaches" in text
    assert "Better than uniform at 4 seeds: hasa (+5.00" in text


def test_arms_that_do_not_match_are_named(tmp_path):
    summary = records("uniform", [0.1, 0.12]) + records("hasa", [0.2, 0.22], budget=0.7)
    summary += records("random", [0.2, 0.22], first_seed=5)
    text = paragraph(compared(write(tmp_path / "w", summary)), "", 1)
    assert "Not compared, as the achieved budgets differ: hasa." in text
    assert "Not compared, as no seed is common: random." in text
    findings = findings_of(compared(tmp_path / "w"), 3)
    assert [own.points for own in findings] == ["", "", ""]
    assert forest_of(findings, 3) is None


def test_one_arm_and_one_seed(tmp_path):
    folder = write(tmp_path / "w", records("uniform", [0.1]))
    text = paragraph(compared(folder), "", 1)
    assert "There is one arm, hasa:uniform: 1 client, a budget of 0.5 in width, 1 seed." in text
    assert "reaches a mean client accuracy of 10.00 %." in text


def test_trivial_predictions_are_said(tmp_path):
    baseline = {str(seed): {f"{m}_accuracy": 0.25 for m in results.METRICS} for seed in (0, 1)}
    text = paragraph(compared(write(tmp_path / "w", baseline=baseline)), "", 1)
    assert "Always predicting the most frequent training target reaches 25.00" in text


def test_seeds_and_the_majority_are_those_of_the_headline(tmp_path):
    """Of five and three seeds, three are common; the majority is over those of the reference."""
    summary = records("uniform", [0.1, 0.11, 0.12]) + records("hasa", [0.2, 0.22, 0.21, 0.2, 0.2])
    summary += records("random", [0.1, 0.12], first_seed=1)
    baseline = {str(s): {f"{m}_accuracy": s / 10 for m in results.METRICS} for s in range(5)}
    own = compared(write(tmp_path / "w", summary, baseline=baseline))
    text = paragraph(own, "", 1)
    assert "1 client, a budget of 0.5 in width, 2 to 3 matched seeds." in text
    assert "Better than uniform at 3 seeds: hasa" in text
    (majority,) = (row for row in tables_of(own.found, ComparisonConfig())[0].rows[-1:])
    assert majority[0].text == "majority"
    assert f"training target reaches {majority[1].text} %." in text
    assert majority[1].value == pytest.approx(10)


def test_a_seed_that_is_not_finite_is_no_verdict(tmp_path):
    summary = records("uniform", [0.1, 0.12, 0.1]) + records("hasa", [0.2, float("nan"), 0.2])
    own = compared(write(tmp_path / "w", summary))
    text = paragraph(own, "", 1)
    assert "Not compared, as some accuracies are not finite: hasa." in text
    assert forest_of(findings_of(own, 3), 3) is None


def test_places_on_the_axis():
    findings = [
        Finding("base", "10.00", "reference"),
        Finding("up", "12.00", "better", gain=2.0, half=1.0, p=0.01, seeds=5),
        Finding("down", "9.00", "not told apart", gain=-1.0, half=2.0, p=0.4, seeds=5),
        Finding("apart", "9.00", "not matched"),
    ]
    forest = forest_of(findings, 3)
    # From -3 to 3 with 6 % of the six points at both ends: 6.72 points.
    assert forest.zero == pytest.approx(50)
    base, up, down, apart = forest.lines
    assert up.at == pytest.approx(50 + 100 * 2 / 6.72, abs=0.01)
    assert (up.low, up.length) == pytest.approx((50 + 100 / 6.72, 200 / 6.72), abs=0.02)
    assert down.low == pytest.approx(50 - 300 / 6.72, abs=0.01)
    assert (base.at, apart.at) == (None, None)
    assert [own.kind for own in forest.lines] == ["reference", "better", "level", "none"]
    assert (forest.low_text, forest.high_text) == ("\N{MINUS SIGN}3.4", "+3.4")


def test_equal_arms_have_an_axis_too():
    findings = [
        Finding("base", "10.00", "reference"),
        Finding("same", "10.00", "not told apart", gain=0.0, half=0.0, seeds=3),
    ]
    assert forest_of(findings, 1).lines[1].at == pytest.approx(50)
