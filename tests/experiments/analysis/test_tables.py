"""The table's statistics, and its refusal to compare what is not matched."""

import csv
import json

import numpy as np
import pytest
import scipy.stats

from experiments.analysis import tables


def records(policy, accuracies, budget=0.5, round=3):
    return [
        {
            "method": "hasa",
            "policy": policy,
            "extraction": "prefix",
            "aggregation": "coverage",
            "seed": str(seed),
            "round": str(round),
            **{f"{m}_accuracy": str(a) for m in tables.METRICS},
            "budget_requested": "0.5",
            **{f"budget_{u}": str(budget) for u in ("width", "params", "macs", "executed")},
        }
        for seed, a in enumerate(accuracies)
    ]


def test_interval_is_students():
    values = np.array([1.0, 2.0, 4.0, 5.0])
    low, high = scipy.stats.t.interval(0.95, 3, loc=3.0, scale=scipy.stats.sem(values))
    assert 3.0 - tables.interval(values) == pytest.approx(low)
    assert 3.0 + tables.interval(values) == pytest.approx(high)
    assert np.isnan(tables.interval(np.array([1.0])))


def test_p_values_are_those_of_paired_tests():
    one = np.array([0.1, 0.2, 0.35, 0.3, 0.5])
    other = np.array([0.12, 0.25, 0.3, 0.4, 0.57])
    t_test, wilcoxon = tables.p_values(other - one)
    assert t_test == pytest.approx(scipy.stats.ttest_rel(other, one).pvalue)
    assert wilcoxon == pytest.approx(scipy.stats.wilcoxon(other, one).pvalue)


@pytest.mark.parametrize("differences", [[0.0, 0.0, 0.0], [0.1], [0.2, 0.2]])
def test_p_values_are_missing_without_variation(differences):
    assert np.isnan(tables.p_values(np.array(differences))).all()


def test_a_line_for_each_policy_with_paired_differences():
    text = tables.table_at(
        records("uniform", [0.10, 0.12]) + records("hasa", [0.11, 0.15]), 3, "width"
    )
    uniform, hasa = text.splitlines()[2:]
    assert uniform.count("reference") == 3
    assert "13.00 ±" in hasa
    assert "+2.00 ±" in hasa


def test_arms_of_unequal_budgets_are_not_compared():
    text = tables.table_at(
        records("uniform", [0.10, 0.12]) + records("hasa", [0.11, 0.15], budget=0.55), 3, "width"
    )
    assert text.splitlines()[3].count("not budget-matched") == 3


def test_the_round_is_chosen_on_the_validation_split_of_the_reference():
    metrics = [
        {"method": "hasa", "policy": policy, "split": split, "round": str(r), "accuracy": str(a)}
        for policy, split, r, a in [
            ("uniform", "validation", 1, 0.1),
            ("uniform", "validation", 2, 0.3),
            ("uniform", "validation", 3, 0.2),
            ("uniform", "test", 3, 0.9),
            ("hasa", "validation", 1, 0.9),
        ]
    ]
    assert tables.best_round(metrics, ("hasa", "uniform")) == 2


def results(folder):
    """Writes a small finished workdir."""
    summary = records("uniform", [0.10, 0.12]) + records("hasa", [0.11, 0.15])
    metrics = [{**own, "split": "validation", "accuracy": "0.2"} for own in summary]
    for name, table in (("summary", summary), ("metrics", metrics)):
        with (folder / f"{name}.csv").open("w", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, list(table[0]))
            writer.writeheader()
            writer.writerows(table)
    config = {"allocation": {"budget_unit": "macs"}}
    manifest = {"script": "compare", "config": config, "data_sha256": {}}
    (folder / "run.json").write_text(json.dumps(manifest), encoding="utf-8")


def test_the_table_of_a_workdir_is_in_the_units_of_its_run(tmp_path):
    results(tmp_path)
    assert "+2.00" in tables.write(tmp_path)
    path = tmp_path / "summary.csv"
    path.write_text(
        path.read_text(encoding="utf-8").replace(",0.5,0.5\n", ",0.9,0.5\n", 1), encoding="utf-8"
    )
    assert "not budget-matched" in tables.write(tmp_path)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("metrics.csv", None, "does not exist"),
        ("run.json", None, "does not exist"),
        ("run.json", "{", "is damaged"),
        ("run.json", "[1]", "is damaged"),
        ("metrics.csv", "", "has no rows"),
        ("metrics.csv", "a,b\n1,2\n", "no column 'method'"),
        ("metrics.csv", b"\xff\xfe", "is damaged"),
        ("summary.csv", "cut", "line 2: column"),
        ("summary.csv", "word", "line 2: column 'round' holds 'x'"),
    ],
)
def test_damaged_results_are_refused(name, content, match, tmp_path):
    results(tmp_path)
    path = tmp_path / name
    text = path.read_text(encoding="utf-8")
    if content is None:
        path.unlink()
    elif content == "cut":
        path.write_text(text.splitlines()[0] + "\nhasa,uniform,pre", encoding="utf-8")
    elif content == "word":
        path.write_text(text.replace(",3,", ",x,"), encoding="utf-8")
    else:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(tables.UserError, match=match):
        tables.write(tmp_path)


def test_any_arm_can_be_the_reference(tmp_path):
    results(tmp_path)
    lines = tables.write(tmp_path, "hasa:hasa").splitlines()
    uniform, hasa = (line for line in lines if line.startswith("| hasa"))
    assert "-2.00" in uniform
    assert hasa.count("reference") == 3
    assert tables.write(tmp_path, "hasa") == tables.write(tmp_path, "hasa:hasa")
    with pytest.raises(tables.UserError, match="use one of hasa:uniform, hasa:hasa"):
        tables.write(tmp_path, "fjord")
    two = [("fjord", "uniform"), ("fjord", "levels"), ("hasa", "hasa")]
    assert tables.choose_arm(two, "hasa") == ("hasa", "hasa")
    with pytest.raises(tables.UserError, match="not one arm"):
        tables.choose_arm(two, "fjord")
