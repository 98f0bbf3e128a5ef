"""The tables of results, and their refusal to compare what is not matched."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from experiments.analysis import markdown, results, tables, verdicts
from experiments.analysis.results import Arm
from experiments.analysis.statistics import p_values, seeds_needed
from experiments.analysis.stopped import Rule
from experiments.rooms import ComparisonConfig
from hasa_jax import UserError
from tests.experiments.analysis.workdirs import record, records, write
from tests.support.scripts import run


def text_of(folder, **comparison):
    return tables.text_of(results.read([folder]), ComparisonConfig(**comparison))


def lines_of(text, start):
    """Returns the cells of all lines of tables that begin with a text."""
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if line.startswith(f"| {start} ")
    ]


def test_a_line_for_each_policy_with_paired_differences(tmp_path):
    text = text_of(write(tmp_path))
    first, second, _ = lines_of(text, "uniform")
    assert first[-1] == "reference"
    assert second[1:] == ["reference", "reference"]
    first, second, third, _ = lines_of(text, "hasa")
    assert third[1:] == ["n/a", "0.500", "0.295", "not told apart", "126"]
    assert first[1:4] == ["13.00 [0, 38]"] * 3
    assert first[4].startswith("+2.00 ± 12.71 (0.")
    assert second[1].startswith("+2.00 ±")
    assert "Differences Δ are in points" in text
    assert "[low, high] where the interval is cut at 0 or 100" in " ".join(text.split())


BASE = [0.30, 0.31, 0.29, 0.32, 0.30, 0.28, 0.31, 0.30]


def test_verdicts_are_of_a_family(tmp_path):
    """Differences of about +1 and -1 points, and two that are alike: p t by Holm over three."""
    gains = {
        "hasa": [0.010, 0.012, 0.009, 0.011, 0.010, 0.013, 0.008, 0.010],
        "random": [-0.010, -0.012, -0.009, -0.011, -0.010, -0.013, -0.008, -0.010],
        "levels": [0.010, -0.012, 0.009, -0.011, 0.010, -0.013, 0.008, 0.001],
    }
    summary = records("uniform", BASE)
    for policy, own in gains.items():
        summary += records(policy, [a + b for a, b in zip(BASE, own, strict=True)])
    text = text_of(write(tmp_path, summary))
    plain = " ".join(text.split())
    assert "p Holm is p t adjusted over the 3 differences of this table to uniform" in plain
    assert "all 2^n flips of signs of n seeds (256)" in plain
    assert ["policy", "bootstrap 95 %", "p flip", "p Holm", "verdict", "seeds for ± 0.25"] in (
        lines_of(text, "policy")
    )
    ps = [scipy.stats.ttest_1samp(own, 0).pvalue for own in gains.values()]
    found = {policy: lines_of(text, policy)[2] for policy in gains}
    assert found["hasa"][2:5] == ["0.008", "<0.001", "better"]
    assert found["random"][2:5] == ["0.008", "<0.001", "worse"]
    assert found["levels"][3:5] == [f"{ps[2]:.3f}", "not told apart"]
    low, high = (float(end) for end in found["hasa"][1].strip("[]").split(","))
    assert 0.9 < low < 1.04 < high < 1.2
    assert found["hasa"][5] == str(seeds_needed(100 * float(np.std(gains["hasa"], ddof=1)), 0.25))


def test_drawn_flips_are_said_and_the_lines_fit(tmp_path):
    policies = ("uniform", "inverse_hasa@excess_divergence", "hasa@feature_divergence")
    generator = np.random.default_rng(0)
    summary = [
        line
        for policy in policies
        for line in records(policy, (0.3 + 0.01 * generator.normal(size=25)).tolist())
    ]
    text = text_of(write(tmp_path, summary))
    assert "the sign-flip test by 99,999 drawn flips of signs, as seeds are over 20" in (
        " ".join(text.split())
    )
    assert text == text_of(tmp_path)
    assert max(map(len, text.splitlines())) <= markdown.WIDTH


def test_an_arm_of_another_budget_is_not_of_the_family(tmp_path):
    summary = records("uniform", BASE) + records("hasa", BASE[::-1])
    summary += records("random", [0.5] * 8, budget=0.6)
    text = text_of(write(tmp_path, summary))
    assert "over the only difference of this table" in " ".join(text.split())
    assert len(lines_of(text, "random")) == 3


def test_a_verdict_that_the_exact_test_does_not_bear_out_is_said():
    """Sums of 4.8 or more are 5.2 and 4.8, and their opposites: 4 of 64 choices, p = .0625."""
    gains = np.array([1.0, 1.0, 1.0, 1.0, 1.0, -0.2])
    assert p_values(gains)[0] == pytest.approx(0.0103, abs=1e-4)
    (line,) = verdicts.remarks({"a_b": gains})
    assert line.startswith("a_b: better by the t test, but p of the sign-flip test is 0.06")
    assert verdicts.remarks({"hasa": np.array([2.0, 2.1, 1.9, 2.0, 2.2, 1.8])}) == []
    # Five seeds cannot have a p below .0625, which another line says.
    assert verdicts.remarks({"hasa": np.array([2.0, 2.1, 1.9, 2.0, 2.2])}) == []


def of_folds(policy, by_seed):
    """Records of one arm, a fold for each accuracy of each seed."""
    return [
        record(policy, seed, accuracy, fold=fold)
        for seed, own in enumerate(by_seed)
        for fold, accuracy in enumerate(own, 1)
    ]


def test_a_seed_is_the_mean_of_its_folds(tmp_path):
    """Uniform .2 and .3, hasa .22 and .34: gains of 2 and 4 points, whatever the folds are."""
    summary = of_folds("uniform", [[0.1, 0.3], [0.5, 0.1]])
    summary += of_folds("hasa", [[0.02, 0.42], [0.3, 0.38]])
    folder = write(tmp_path, summary, {"data": {"eval_folds": 2}})
    text = text_of(folder)
    assert "2 matched seeds, each the mean of its 2 folds." in " ".join(text.split())
    assert lines_of(text, "hasa")[0][4].startswith("+3.00 ± 12.71 (")
    assert lines_of(text, "uniform")[0][1] == "25.00 [0, 89]"
    assert "left out" not in text


def test_seeds_that_lack_folds_are_left_out_and_counted(tmp_path):
    summary = of_folds("uniform", [[0.1, 0.3], [0.5, 0.1], [0.2, 0.2]])
    summary += of_folds("hasa", [[0.02, 0.42], [0.3, 0.38], [0.9]])
    text = text_of(write(tmp_path, summary, {"data": {"eval_folds": 2}}))
    plain = " ".join(text.split())
    assert (
        "Left out, as some of their 2 folds are missing: hasa:hasa of seed 2 "
        "(1 of 6 pairs of arm and seed)." in plain
    )
    assert "hasa has 2 of 3 seeds in common with the reference" in plain
    assert lines_of(text, "hasa")[0][4].startswith("+3.00 ± 12.71 (")
    three = of_folds("uniform", [[0.1, 0.2, 0.3]]) + of_folds("hasa", [[0.1, 0.2]])
    folder = write(tmp_path / "none", three, {"data": {"eval_folds": 3}})
    with pytest.raises(UserError, match="no seed of 'hasa:hasa' has all of its 3 folds"):
        text_of(folder)


def test_what_a_rule_said_is_in_the_table(tmp_path):
    rule = Rule(0.5, 40, 2, 12.7, "hasa", "uniform", 3, 130)
    text = text_of(write(tmp_path, stopping=dataclasses.asdict(rule)))
    assert "Not reached: ± 12.7 of hasa at 2 seeds, of at most 40, needs 130." in text
    assert "seeds for ± 0.5" in text


def test_the_aggregation_is_named(tmp_path):
    summary = records("uniform", [0.1, 0.2]) + records("hasa", [0.2, 0.25])
    same = [{**line, "aggregation": "full"} for line in summary]
    assert "Aggregation: full." in text_of(write(tmp_path / "same", same))
    other = [
        {**line, "method": "fiarse", "aggregation": "nonzero"} if line["policy"] == "hasa" else line
        for line in same
    ]
    text = " ".join(text_of(write(tmp_path / "other", other)).split())
    assert "Aggregation: full (hasa), nonzero (fiarse)." in text


def test_arms_of_unequal_budgets_are_not_compared(tmp_path):
    summary = records("uniform", [0.10, 0.12]) + records("hasa", [0.11, 0.15], budget=0.55)
    text = text_of(write(tmp_path, summary))
    assert lines_of(text, "hasa")[0][-1] == "not matched in width"
    assert text.count("not matched in width") == 3
    assert lines_of(text, "hasa")[2] == ["hasa", "0.5", *["0.550 ≠"] * 4]
    assert lines_of(text, "uniform")[2] == ["uniform", "0.5", *["0.500"] * 4]


def test_any_unit_can_be_the_one_that_must_match(tmp_path):
    """Equal in width and parameters, but not in MACs: .278 against .356."""
    macs = {"budget_macs": 0.356}
    summary = records("uniform", [0.1, 0.2], budget=0.278)
    summary += records("hasa", [0.2, 0.25], budget=0.278, **macs)
    folder = write(tmp_path, summary, {"allocation": {"budget_unit": "params"}})
    text = text_of(folder)
    assert lines_of(text, "hasa")[0][-1].startswith("+7.50 ±")
    assert lines_of(text, "hasa")[-1][2:] == ["0.278", "0.278", "0.356 ≠", "0.278"]
    assert "where budgets match in params" in " ".join(text.split())
    assert "Where there is no ≠, they match uniform within 0.01" in text
    text = text_of(folder, matched="macs")
    assert lines_of(text, "hasa")[0][-1] == "not matched in MACs"
    assert "(0." not in text
    assert lines_of(text_of(folder, matched="width"), "hasa")[0][-1].startswith("+7.50")
    with pytest.raises(UserError, match="no achieved budget in bytes"):
        text_of(folder, matched="bytes")


@pytest.mark.parametrize(("budget", "matched"), [(0.51, True), (0.49, True), (0.511, False)])
def test_budgets_match_within_a_hundredth(budget, matched, tmp_path):
    summary = records("uniform", [0.1, 0.2]) + records("hasa", [0.1, 0.3], budget=budget)
    text = text_of(write(tmp_path, summary))
    assert ("not matched in width" not in text) == matched
    assert (f"{budget:.3f} ≠" not in text) == matched


def test_a_seed_that_does_not_match_refuses_the_arm(tmp_path):
    summary = records("uniform", [0.1, 0.2]) + records("hasa", [0.1, 0.2])
    summary[-1]["budget_width"] = "0.52"
    assert lines_of(text_of(write(tmp_path, summary)), "hasa")[0][-1] == "not matched in width"


def test_the_round_is_chosen_on_the_validation_split_of_the_first_arm():
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
    uniform = Arm("hasa", "uniform")
    assert tables.best_round(metrics, uniform, (1, 2, 3)) == 2
    assert tables.best_round(metrics, uniform, (1, 3)) == 3
    with pytest.raises(UserError, match="no validation records of 'hasa:none'"):
        tables.best_round(metrics, Arm("hasa", "none"), (1, 2, 3))


def test_the_table_of_a_workdir_is_in_the_units_of_its_run(tmp_path):
    folder = write(tmp_path, config={"allocation": {"budget_unit": "macs"}})
    assert "+2.00" in tables.write([folder], ComparisonConfig())
    path = tmp_path / "summary.csv"
    path.write_text(
        path.read_text(encoding="utf-8").replace(",0.5,0.5\n", ",0.9,0.5\n", 1), encoding="utf-8"
    )
    assert "not matched in MACs" in tables.write([folder], ComparisonConfig())


def test_any_arm_can_be_the_reference(tmp_path):
    folder = write(tmp_path)
    text = text_of(folder, reference="hasa:hasa")
    assert lines_of(text, "uniform")[0][-1].startswith("-2.00")
    assert lines_of(text, "hasa")[0][-1] == "reference"
    assert text == text_of(folder, reference="hasa")
    with pytest.raises(UserError, match="use one of hasa:uniform, hasa:hasa"):
        text_of(folder, reference="fjord")
    two = [Arm("fjord", "uniform"), Arm("fjord", "levels"), Arm("hasa", "hasa")]
    assert tables.choose_arm(two, "hasa") == two[2]
    with pytest.raises(UserError, match="not one arm"):
        tables.choose_arm(two, "fjord")


def test_the_tables_fit_a_terminal(tmp_path):
    long = "inverse_hasa@feature_divergence"
    values = {"global_mean_accuracy": 0.123, "bytes_down": 123456789, "updates": 9.5}
    summary = [
        record(policy, seed, accuracy, round=round, **values)
        for policy, accuracy in (("uniform", 0.9), (long, 0.1), ("hasa", 0.99))
        for seed in range(3)
        for round in (3, 6)
    ]
    text = text_of(write(tmp_path, summary))
    assert max(map(len, text.splitlines())) <= markdown.WIDTH == 100
    assert "uniform" in text
    assert long in text


def test_arms_are_called_by_what_tells_them_apart(tmp_path):
    methods = ["fedavg", "hasa", "federated_dropout"]
    policies = {"hasa": "hasa"}
    summary = [
        record(policies.get(method, "uniform"), seed, 0.1 + 0.1 * seed) | {"method": method}
        for method in methods
        for seed in (0, 1)
    ]
    text = text_of(write(tmp_path, summary))
    assert [lines_of(text, method)[0][0] for method in methods] == methods
    # Policies that differ are beside the budgets.
    assert [lines_of(text, method)[-1][1] for method in methods] == ["uniform", "hasa", "uniform"]
    assert "| hasa:uniform |" in text_of(write(tmp_path / "one", records("uniform", [0.1])))


def test_columns_that_a_run_has_are_shown(tmp_path):
    columns = {
        "global_mean_accuracy": 0.25,
        "global_worst_accuracy": "",
        "global_tail_accuracy": "nan",
        "bytes_down": 2_500_000,
        "bytes_up": 1_250_000,
        "updates": 7.5,
        "budget_bytes": 0.5,
    }
    summary = records("uniform", [0.1, 0.2], **columns) + records("hasa", [0.1, 0.2], **columns)
    text = text_of(write(tmp_path, summary))
    lines = lines_of(text, "hasa")
    assert ["hasa", "25.00 ± 0.00"] in lines
    assert ["hasa", "2.5", "1.25", "7.5"] in lines
    headers = lines_of(text, "policy")
    assert ["policy", "global mean %"] in headers
    assert ["policy", "MB down", "MB up", "updates"] in headers
    assert "bytes" in lines_of(text, "policy")[-1]
    assert "MB down" not in text_of(write(tmp_path / "old"))
    summary = records("uniform", [0.1, 0.2], updates=7, updates_asked=9)
    text = text_of(write(tmp_path / "new", summary))
    assert lines_of(text, "hasa:uniform")[1][1] == "7 of 9"
    assert "- hasa:uniform: no update arrived in 4 of 18 client-rounds." in text


def test_bytes_that_clients_send_once_are_shown_where_there_are_any(tmp_path):
    def header_and_cells(name, once):
        """Of the arm `hasa`; those of `uniform` send nothing once."""
        summary = records("uniform", [0.1, 0.2], bytes_up=2_500_000, bytes_once=0.0)
        hasa = records("hasa", [0.1, 0.2], bytes_up=2_500_000)
        summary += [line | {"bytes_once": x} for line, x in zip(hasa, once, strict=True)]
        text = text_of(write(tmp_path / name, summary))
        (header,) = (cells for cells in lines_of(text, "policy") if "MB up" in cells)
        lines = lines_of(text, "uniform"), lines_of(text, "hasa")
        return header, *(next(line for line in own if line[1] == "2.5") for own in lines)

    header, uniform, hasa = header_and_cells("some", ["44.0", "48.0"])
    assert header == ["policy", "MB up", "B once"]
    assert (uniform[2:], hasa[2:]) == (["0"], ["46"])
    assert header_and_cells("none", ["0.0", "0.0"])[0] == ["policy", "MB up"]
    # A score of the user's own does not say: NaN. A run of earlier code has an empty cell.
    header, uniform, hasa = header_and_cells("unknown", ["nan", "nan"])
    assert (header[-1], uniform[2:], hasa[2:]) == ("B once", ["0"], ["unknown"])
    assert header_and_cells("one unknown", ["nan", "48.0"])[2][2:] == ["unknown"]
    assert header_and_cells("old", ["", ""])[0] == ["policy", "MB up"]


def test_uncut_parameters_and_severed_subnets_are_shown_where_there_are_any(tmp_path):
    summary = records("uniform", [0.1, 0.2], budget_uncut=0.0, severed=0.0)
    assert "uncut" not in text_of(write(tmp_path / "none", summary))
    summary += records("hasa", [0.1, 0.2], budget_uncut=0.25, severed=0.5)
    text = text_of(write(tmp_path / "some", summary))
    assert lines_of(text, "policy")[-1][-1] == "uncut"
    assert lines_of(text, "hasa")[-1][-1] == "0.250"
    assert "- hasa: 50.0% of the clients have a subnet without a path" in text


def test_the_most_frequent_class_is_a_line_of_the_table(tmp_path):
    known = {
        str(seed): {
            "mean_accuracy": 0.3 + 0.1 * seed,
            "worst_accuracy": 0.0,
            "tail_accuracy": 0.05,
            "clients": 9,
            "fewest_targets": 40,
            "clients_of_few": 0,
        }
        for seed in (0, 1)
    }
    text = text_of(write(tmp_path, baseline=known))
    (cells,) = lines_of(text, "majority")
    assert cells[1:] == ["35.00 [0, 99]", "0.00 ± 0.00", "5.00 ± 0.00", ""]
    assert "most frequent training target" in text
    assert "Few test" not in text


@pytest.mark.parametrize(
    ("baseline", "num_examples", "expected"),
    [
        (None, 40, ""),
        (None, 3, "Few test examples: 1 of 1 clients have fewer than 20, the fewest is 3"),
        ((12, 25, 0), 3, ""),
        ((12, 4, 2), 40, "Few test targets: 2 of 12 clients have fewer than 20, the fewest is 4"),
    ],
)
def test_few_test_targets_are_warned_of(baseline, num_examples, expected, tmp_path):
    known = {}
    if baseline:
        names = ("clients", "fewest_targets", "clients_of_few")
        accuracies = {f"{metric}_accuracy": 0.5 for metric in results.METRICS}
        known = {"0": dict(zip(names, baseline, strict=True)) | accuracies}
    text = " ".join(text_of(write(tmp_path, num_examples=num_examples, baseline=known)).split())
    assert expected in text
    assert ("Few test" in text) == bool(expected)


@pytest.mark.parametrize(("count", "floor"), [(2, "0.5"), (3, "0.25"), (5, "0.0625"), (6, "")])
def test_too_few_seeds_for_exact_tests_are_warned_of(count, floor, tmp_path):
    accuracies = [0.1 + 0.01 * seed for seed in range(count)]
    text = text_of(write(tmp_path, records("uniform", accuracies) + records("hasa", accuracies)))
    assert ("the sign-flip test cannot be below" in text) == bool(floor)
    if floor:
        assert f"cannot be below {floor} with {count} seeds" in " ".join(text.split())


def test_names_from_files_stay_in_their_cells(tmp_path):
    folder = write(
        tmp_path, records("uniform", [0.1, 0.2]) + records("a|\x1b[2J<script>", [0.1, 0.2])
    )
    text = text_of(folder)
    assert "\x1b" not in text
    assert "<script" not in text
    assert r"2. a\|\\x1b\[2J&lt;script&gt;" in text.splitlines()
    assert len(lines_of(text, "(2)")) == 4


def test_the_script_writes_one_workdir_and_several(tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1, 0.2]))
    two = write(tmp_path / "b", records("uniform", [0.3], first_seed=2))
    done = run("tables", f"--workdir={one}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == (one / "table.md").read_text(encoding="utf-8") + "\n"
    assert "2 matched seeds" in done.stdout
    done = run("tables", f"--workdir={one},{two}", "--matched=params")
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 matched seeds" in done.stdout
    assert "20.00 [0, 45]" in done.stdout
    assert (one / "merged_table.md").read_text(encoding="utf-8") + "\n" == done.stdout
    assert "2 matched seeds" in (one / "table.md").read_text(encoding="utf-8")
    done = run("tables", f"--workdir={one},{two}", "--matched=speed")
    assert done.returncode == 2
    assert "--matched is 'speed': use one of width" in done.stderr
