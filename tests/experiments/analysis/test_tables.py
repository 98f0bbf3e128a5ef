"""The tables of results, and their refusal to compare what is not matched."""

import dataclasses

import numpy as np
import pytest
import scipy.stats

from experiments.analysis import compared, results, tables, verdicts
from experiments.analysis.markdown import WIDTH
from experiments.analysis.rendering import terminal
from experiments.analysis.results import Arm
from experiments.analysis.statistics import seeds_needed, t_p
from experiments.analysis.stopped import Rule
from experiments.rooms import ComparisonConfig
from hasa_jax import UserError
from tests.experiments.analysis.workdirs import record, records, write, write_csv
from tests.support.scripts import run


def tables_of(folder, **comparison):
    """Tables by their names."""
    made = tables.tables_of(results.read([folder]), ComparisonConfig(**comparison))
    return {table.name: table for table in made}


def row(table, name):
    """Texts of a row, without its name."""
    (cells,) = (cells for cells in table.rows if cells[0].text == name)
    return [cell.text for cell in cells[1:]]


def notes_of(folder, **comparison):
    """Notes of the first table, in one line."""
    return " ".join(tables_of(folder, **comparison)["headline"].notes)


def test_a_row_for_each_policy_with_paired_differences_and_verdicts(tmp_path):
    found = tables_of(write(tmp_path))
    headline = found["headline"]
    assert headline.headers == ("policy", "mean %", "Δ mean", "p Holm", "verdict")
    assert row(headline, "uniform") == ["11.00 [0, 24]", "", "", "reference"]
    gain = "+2.00 ± 12.71"
    assert row(headline, "hasa") == ["13.00 [0, 38]", gain, "0.295", "not told apart at 2 seeds"]
    assert headline.cell("hasa", "Δ mean").value == pytest.approx(2)
    assert row(found["worst"], "uniform") == ["11.00 [0, 24]", "reference", ""] * 2
    assert row(found["worst"], "hasa") == ["13.00 [0, 38]", gain, "0.295"] * 2
    # The chosen round is the last one.
    assert list(found) == ["headline", "worst", "tests", "cost", "clients"]
    assert row(found["tests"], "hasa")[-1] == "126"
    notes = " ".join(headline.notes)
    assert "Differences Δ are in points" in notes
    assert "[low, high] where the interval is cut at 0 or 100" in notes


def test_arms_that_hide_classes_are_named(tmp_path):
    summary = records("uniform", [0.1, 0.2])
    summary += [{**own, "method": "heterofl"} for own in summary]
    plain = {"hasa": {"objective": "cross_entropy"}, "heterofl": {"objective": "cross_entropy"}}
    hiding = plain | {"heterofl": {"objective": "masked_cross_entropy"}}
    own = {"objective": "mine", "objective_options": "Objective(own_classes=True, name='mine')"}
    every = hiding | {"hasa": own}
    said = []
    for number, methods in enumerate((plain, hiding, every)):
        folder = write(tmp_path / str(number), summary, methods=methods)
        said.append([n for n in tables_of(folder)["headline"].notes if "accuracy is among" in n])
    assert said[0] == []
    assert said[1] == [
        "heterofl: a client's accuracy is among the classes of its own training examples, which is "
        "easier than among all, as elsewhere."
    ]
    assert said[2][0].endswith(
        "hasa, heterofl: a client's accuracy is among the classes of its own training examples."
    )


BASE = [0.30, 0.31, 0.29, 0.32, 0.30, 0.28, 0.31, 0.30]
GAINS = {
    "hasa": [0.010, 0.012, 0.009, 0.011, 0.010, 0.013, 0.008, 0.010],
    "random": [-0.010, -0.012, -0.009, -0.011, -0.010, -0.013, -0.008, -0.010],
    "levels": [0.010, -0.012, 0.009, -0.011, 0.010, -0.013, 0.008, 0.001],
}


def family():
    """Records of differences of about +1 and -1 points, and two that are alike."""
    summary = records("uniform", BASE)
    for policy, own in GAINS.items():
        summary += records(policy, [a + b for a, b in zip(BASE, own, strict=True)])
    return summary


def test_verdicts_are_of_a_family(tmp_path):
    """p t by Holm over three differences."""
    found = tables_of(write(tmp_path, family()))
    own = found["tests"]
    assert own.headers[1:] == (
        "bootstrap 95 %",
        "p t",
        "p Holm",
        "p W",
        "p flip",
        "seeds for ± 0.25",
    )
    assert "p Holm is p t adjusted over the 3 differences of this table" in own.notes[0]
    assert "all 2^n flips of signs of n seeds (256)" in own.notes[0]
    ps = [scipy.stats.ttest_1samp(gains, 0).pvalue for gains in GAINS.values()]
    verdicts = {name: row(found["headline"], name)[2:] for name in GAINS}
    assert verdicts["hasa"] == ["<0.001", "better at 8 seeds"]
    assert verdicts["random"] == ["<0.001", "worse at 8 seeds"]
    assert verdicts["levels"] == [f"{ps[2]:.3f}", "not told apart at 8 seeds"]
    assert own.cell("hasa", "p t").value == pytest.approx(ps[0])
    assert own.cell("random", "p flip").text == "0.008"
    low, high = (float(end) for end in row(own, "hasa")[0].strip("[]").split(","))
    assert 0.9 < low < 1.04 < high < 1.2
    needed = seeds_needed(100 * float(np.std(GAINS["hasa"], ddof=1)), 0.25)
    assert row(own, "hasa")[-1] == str(needed)


def test_the_best_mean_is_bold_only_where_a_test_says_that_it_is_better(tmp_path):
    def bold(name, summary):
        return [
            cells[0].text
            for cells in tables_of(write(tmp_path / name, summary))["headline"].rows
            if any(cell.bold for cell in cells)
        ]

    assert bold("better", family()) == ["hasa"]
    # The best of the means is not told apart from the reference, or is the reference.
    alike = [own for own in family() if own["policy"] in ("uniform", "levels")]
    assert bold("alike", alike) == []
    worse = [own for own in family() if own["policy"] in ("uniform", "random")]
    assert bold("worse", worse) == []
    # What does not match is not compared, however good it is.
    unmatched = [*family(), *records("size_proportional", [0.9] * 8, budget=0.7)]
    assert bold("unmatched", unmatched) == ["hasa"]


def test_drawn_flips_are_said_and_the_lines_fit(tmp_path):
    policies = ("uniform", "inverse_hasa@excess_divergence", "hasa@feature_divergence")
    generator = np.random.default_rng(0)
    summary = [
        line
        for policy in policies
        for line in records(policy, (0.3 + 0.01 * generator.normal(size=25)).tolist())
    ]
    found = tables_of(write(tmp_path, summary))
    assert (
        "the sign-flip test by 99,999 drawn flips of signs, as seeds are over 20"
        in (found["tests"].notes[0])
    )
    assert found == tables_of(tmp_path)
    lines = terminal.document(list(found.values())).splitlines()
    assert max(map(len, lines)) <= WIDTH == 100


def test_an_arm_of_another_budget_is_not_of_the_family(tmp_path):
    summary = records("uniform", BASE) + records("hasa", BASE[::-1])
    summary += records("random", [0.5] * 8, budget=0.6)
    found = tables_of(write(tmp_path, summary))
    assert "over the only difference of this table" in found["tests"].notes[0]
    assert [cells[0].text for cells in found["tests"].rows] == ["hasa"]
    assert "adjusted over the only difference;" in " ".join(found["headline"].notes)


def test_a_verdict_that_the_exact_test_does_not_bear_out_is_said():
    """Sums of 4.8 or more are 5.2 and 4.8, and their opposites: 4 of 64 choices, p = .0625."""
    gains = np.array([1.0, 1.0, 1.0, 1.0, 1.0, -0.2])
    assert t_p(gains) == pytest.approx(0.0103, abs=1e-4)
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
    headline = tables_of(folder)["headline"]
    assert headline.cell("hasa", "Δ mean").text == "+3.00 ± 12.71"
    assert headline.cell("uniform", "mean %").text == "25.00 [0, 89]"
    assert "2 matched seeds, each the mean of its 2 folds." in " ".join(headline.notes)
    assert "left out" not in " ".join(headline.notes)


def test_seeds_that_lack_folds_are_left_out_and_counted(tmp_path):
    summary = of_folds("uniform", [[0.1, 0.3], [0.5, 0.1], [0.2, 0.2]])
    summary += of_folds("hasa", [[0.02, 0.42], [0.3, 0.38], [0.9]])
    headline = tables_of(write(tmp_path, summary, {"data": {"eval_folds": 2}}))["headline"]
    notes = " ".join(headline.notes)
    assert (
        "Left out, as some of their 2 folds are missing: hasa:hasa of seed 2 "
        "(1 of 6 pairs of arm and seed)." in notes
    )
    assert "hasa has 2 of 3 seeds in common with the reference" in notes
    assert headline.cell("hasa", "Δ mean").text == "+3.00 ± 12.71"
    three = of_folds("uniform", [[0.1, 0.2, 0.3]]) + of_folds("hasa", [[0.1, 0.2]])
    folder = write(tmp_path / "none", three, {"data": {"eval_folds": 3}})
    with pytest.raises(UserError, match="no seed of 'hasa:hasa' has all of its 3 folds"):
        tables_of(folder)


def test_what_a_rule_said_is_in_the_table(tmp_path):
    rule = Rule(0.5, 40, 2, 12.7, "hasa", "uniform", 3, 130)
    folder = write(tmp_path, stopping=dataclasses.asdict(rule))
    assert "Not reached: ± 12.7 of hasa at 2 seeds, of at most 40, needs 130." in notes_of(folder)
    assert tables_of(folder)["tests"].headers[-1] == "seeds for ± 0.5"


def test_the_aggregation_is_named(tmp_path):
    summary = records("uniform", [0.1, 0.2]) + records("hasa", [0.2, 0.25])
    same = [{**line, "aggregation": "full"} for line in summary]
    assert "Aggregation: full." in notes_of(write(tmp_path / "same", same))
    other = [
        {**line, "method": "fiarse", "aggregation": "nonzero"} if line["policy"] == "hasa" else line
        for line in same
    ]
    notes = notes_of(write(tmp_path / "other", other))
    assert "Aggregation: full (hasa), nonzero (fiarse)." in notes


def test_arms_of_unequal_budgets_are_not_compared(tmp_path):
    summary = records("uniform", [0.10, 0.12]) + records("hasa", [0.11, 0.15], budget=0.55)
    found = tables_of(write(tmp_path, summary))
    assert row(found["headline"], "hasa")[1:] == ["", "", "not matched in width"]
    assert row(found["worst"], "hasa")[1:3] == ["not matched", ""]
    assert "tests" not in found
    assert row(found["cost"], "hasa") == ["0.5", *["0.550 ≠"] * 4]
    assert row(found["cost"], "uniform") == ["0.5", *["0.500"] * 4]


def test_any_unit_can_be_the_one_that_must_match(tmp_path):
    """Equal in width and parameters, but not in MACs: .278 against .356."""
    macs = {"budget_macs": 0.356}
    summary = records("uniform", [0.1, 0.2], budget=0.278)
    summary += records("hasa", [0.2, 0.25], budget=0.278, **macs)
    folder = write(tmp_path, summary, {"allocation": {"budget_unit": "params"}})
    found = tables_of(folder)
    assert found["headline"].cell("hasa", "Δ mean").text.startswith("+7.50 ±")
    assert row(found["cost"], "hasa")[1:] == ["0.278", "0.278", "0.356 ≠", "0.278"]
    assert "where budgets match in params" in " ".join(found["headline"].notes)
    assert found["cost"].notes == ("Where there is no ≠, budgets match uniform within 0.01.",)
    found = tables_of(folder, matched="macs")
    assert row(found["headline"], "hasa")[1:] == ["", "", "not matched in MACs"]
    own = tables_of(folder, matched="width")["headline"].cell("hasa", "Δ mean")
    assert own.text.startswith("+7.50")
    with pytest.raises(UserError, match="no achieved budget in bytes"):
        tables_of(folder, matched="bytes")


@pytest.mark.parametrize(("budget", "matched"), [(0.51, True), (0.49, True), (0.511, False)])
def test_budgets_match_within_a_hundredth(budget, matched, tmp_path):
    summary = records("uniform", [0.1, 0.2]) + records("hasa", [0.1, 0.3], budget=budget)
    found = tables_of(write(tmp_path, summary))
    assert (found["headline"].cell("hasa", "verdict").text == "not matched in width") != matched
    assert (found["cost"].cell("hasa", "width").text == f"{budget:.3f} ≠") != matched


def test_a_seed_that_does_not_match_refuses_the_arm(tmp_path):
    summary = records("uniform", [0.1, 0.2]) + records("hasa", [0.1, 0.2])
    summary[-1]["budget_width"] = "0.52"
    own = tables_of(write(tmp_path, summary))["headline"]
    assert own.cell("hasa", "verdict").text == "not matched in width"


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
    assert compared.best_round(metrics, uniform, (1, 2, 3)) == 2
    assert compared.best_round(metrics, uniform, (1, 3)) == 3
    with pytest.raises(UserError, match="no validation records of 'hasa:none'"):
        compared.best_round(metrics, Arm("hasa", "none"), (1, 2, 3))


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
    found = tables_of(folder, reference="hasa:hasa")
    assert found["headline"].cell("uniform", "Δ mean").text.startswith("-2.00")
    assert found["headline"].cell("hasa", "verdict").text == "reference"
    assert found == tables_of(folder, reference="hasa")
    with pytest.raises(UserError, match="use one of hasa:uniform, hasa:hasa"):
        tables_of(folder, reference="fjord")
    two = [Arm("fjord", "uniform"), Arm("fjord", "levels"), Arm("hasa", "hasa")]
    assert compared.choose_arm(two, "hasa") == two[2]
    with pytest.raises(UserError, match="not one arm"):
        compared.choose_arm(two, "fjord")


def test_the_tables_fit_a_terminal(tmp_path):
    long = "inverse_hasa@feature_divergence"
    values = {"global_mean_accuracy": 0.123, "bytes_down": 123456789, "updates": 9.5}
    summary = [
        record(policy, seed, accuracy, round=round, **values)
        for policy, accuracy in (("uniform", 0.9), (long, 0.1), ("hasa", 0.99))
        for seed in range(3)
        for round in (3, 6)
    ]
    text = tables.write([write(tmp_path, summary)], ComparisonConfig())
    assert max(map(len, text.splitlines())) <= WIDTH
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
    found = tables_of(write(tmp_path, summary))
    assert found["headline"].headers[0] == "method"
    assert [cells[0].text for cells in found["headline"].rows] == methods
    # Policies that differ are beside the budgets.
    assert found["cost"].headers[1] == "policy"
    assert [row(found["cost"], m)[0] for m in methods] == ["uniform", "hasa", "uniform"]
    one = tables_of(write(tmp_path / "one", records("uniform", [0.1])))
    assert one["headline"].headers == ("arm", "mean %", "worst %", "tail %")
    assert one["headline"].rows[0][0].text == "hasa:uniform"


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
    found = tables_of(write(tmp_path, summary))
    assert found["global"].headers == ("policy", "global mean %")
    assert row(found["global"], "hasa") == ["25.00 ± 0.00"]
    units = ("width", "params", "MACs", "bytes", "executed")
    assert found["cost"].headers == ("policy", "budget", *units, "MB down", "MB up")
    assert row(found["cost"], "hasa")[-2:] == ["2.5", "1.25"]
    old = tables_of(write(tmp_path / "old"))
    assert "MB down" not in old["cost"].headers
    assert "global" not in old
    summary = records("uniform", [0.1, 0.2], updates=7, updates_asked=9)
    folder = write(tmp_path / "new", summary)
    assert tables_of(folder)["cost"].cell("hasa:uniform", "updates").text == "7 of 9"
    assert "hasa:uniform: no update arrived in 4 of 18 client-rounds." in notes_of(folder)
    # Nothing is said of updates that all arrived.
    every = write(tmp_path / "all", records("uniform", [0.1, 0.2], updates=9, updates_asked=9))
    assert "updates" not in tables_of(every)["cost"].headers


def test_bytes_that_clients_send_once_are_shown_where_there_are_any(tmp_path):
    def header_and_cells(name, once):
        """Of the arm `hasa`; those of `uniform` send nothing once."""
        summary = records("uniform", [0.1, 0.2], bytes_up=2_500_000, bytes_once=0.0)
        hasa = records("hasa", [0.1, 0.2], bytes_up=2_500_000)
        summary += [line | {"bytes_once": x} for line, x in zip(hasa, once, strict=True)]
        cost = tables_of(write(tmp_path / name, summary))["cost"]
        return cost.headers[6:], row(cost, "uniform")[5:], row(cost, "hasa")[5:]

    found = header_and_cells("some", ["44.0", "48.0"])
    assert found == (("MB up", "bytes once"), ["2.5", "0"], ["2.5", "46"])
    assert header_and_cells("none", ["0.0", "0.0"])[0] == ("MB up",)
    # A score of the user's own does not say: NaN. A run of earlier code has an empty cell.
    found = header_and_cells("unknown", ["nan", "nan"])
    assert found == (("MB up", "bytes once"), ["2.5", "0"], ["2.5", "unknown"])
    assert header_and_cells("one unknown", ["nan", "48.0"])[2][1:] == ["unknown"]
    assert header_and_cells("old", ["", ""])[0] == ("MB up",)


def test_uncut_parameters_and_severed_subnets_are_shown_where_there_are_any(tmp_path):
    summary = records("uniform", [0.1, 0.2], budget_uncut=0.0, severed=0.0)
    assert "uncut" not in tables_of(write(tmp_path / "none", summary))["cost"].headers
    summary += records("hasa", [0.1, 0.2], budget_uncut=0.25, severed=0.5)
    folder = write(tmp_path / "some", summary)
    assert tables_of(folder)["cost"].cell("hasa", "uncut").text == "0.250"
    assert "hasa: 50.0% of the clients have a subnet without a path" in notes_of(folder)


def test_the_most_frequent_class_is_a_row_of_the_table(tmp_path):
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
    folder = write(tmp_path, baseline=known)
    found = tables_of(folder)
    assert row(found["headline"], "majority") == ["35.00 [0, 99]", "", "", ""]
    assert row(found["worst"], "majority") == ["0.00 ± 0.00", "", "", "5.00 ± 0.00", "", ""]
    assert "most frequent training target" in notes_of(folder)
    assert "Few test" not in notes_of(folder)
    one = tables_of(write(tmp_path / "one", records("uniform", [0.1, 0.2]), baseline=known))
    assert row(one["headline"], "majority") == ["35.00 [0, 99]", "0.00 ± 0.00", "5.00 ± 0.00"]


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
    text = notes_of(write(tmp_path, num_examples=num_examples, baseline=known))
    assert expected in text
    assert ("Few test" in text) == bool(expected)


@pytest.mark.parametrize(("count", "floor"), [(2, "0.5"), (3, "0.25"), (5, "0.0625"), (6, "")])
def test_too_few_seeds_for_exact_tests_are_warned_of(count, floor, tmp_path):
    accuracies = [0.1 + 0.01 * seed for seed in range(count)]
    text = notes_of(write(tmp_path, records("uniform", accuracies) + records("hasa", accuracies)))
    assert ("the sign-flip test cannot be below" in text) == bool(floor)
    if floor:
        assert f"cannot be below {floor} with {count} seeds" in text


def test_names_from_files_stay_in_their_cells(tmp_path):
    summary = records("uniform", [0.1, 0.2]) + records("a|\x1b[2J<script>", [0.1, 0.2])
    folder = write(tmp_path, summary)
    printed = tables.write([folder], ComparisonConfig(), ("markdown", "html", "latex", "csv"))
    files = [path.read_text(encoding="utf-8") for path in folder.glob("table*")]
    assert len(files) == 3 + len(tables_of(folder))
    for text in (printed, *files):
        assert "\x1b" not in text
    markdown = (folder / "table.md").read_text(encoding="utf-8")
    assert "<script" not in markdown
    assert r"| a\|\\x1b\[2J&lt;script&gt; |" in markdown
    assert "<script" not in (folder / "table.html").read_text(encoding="utf-8")


def of_clients(folder, widths, sizes=None):
    """Adds widths, and sizes if there are any, to the clients of a workdir: some of each arm."""
    path = folder / "metrics.csv"
    lines = results.read_records(path, ("accuracy",))
    found = []
    for line in lines:
        for number, width in enumerate(widths):
            own = {"client": f"c{number}", "num_examples": str(10 + number), "width": str(width)}
            if sizes:
                own["size"] = str(sizes[number])
            accuracy = float(line["mean_accuracy"]) + 0.1 * number
            found.append({**line, **own, "accuracy": str(accuracy)})
    write_csv(path, found)
    return folder


def test_clients_have_rows_with_their_scores_widths_and_differences(tmp_path):
    """Client 1 gains .1 of accuracy in all arms, so both clients have the arm's difference."""
    scores = {"hasa:hasa": {str(seed): {"c0": 0.25, "c1": 0.75 + seed} for seed in (0, 1)}}
    folder = of_clients(write(tmp_path, scores=scores), [0.5, 0.25])
    clients = tables_of(folder)["clients"]
    headers = ("client", "test examples", "score", "policy", "width", "accuracy %", "Δ")
    assert clients.headers == headers
    found = [[cell.text for cell in cells] for cells in clients.rows]
    assert found[0] == ["c0", "10", "", "uniform", "0.500", "11.00 [0, 24]", "reference"]
    assert found[1] == ["c0", "10", "0.25", "hasa", "0.500", "13.00 [0, 38]", "+2.00 ± 12.71"]
    assert found[3] == ["c1", "11", "1.25", "hasa", "0.250", "23.00 [0, 48]", "+2.00 ± 12.71"]
    assert len(found) == 4


def test_a_client_has_the_mean_over_its_folds_by_their_test_examples(tmp_path):
    """.2 of 10 and .5 of 20 are .4 of 30."""
    folder = write(tmp_path, of_folds("uniform", [[0.2, 0.5]]), {"data": {"eval_folds": 2}})
    lines = results.read_records(folder / "metrics.csv", ("accuracy",))
    for line in lines:
        examples = {"1": "10", "2": "20"}[line["fold"]]
        line |= {"accuracy": line["mean_accuracy"], "num_examples": examples, "width": "0.5"}
    write_csv(folder / "metrics.csv", lines)
    clients = tables_of(folder)["clients"]
    assert [cell.text for cell in clients.rows[0]] == ["a", "30", "0.500", "40.00"]


def test_clients_of_an_arm_that_does_not_match_have_no_difference(tmp_path):
    summary = records("uniform", [0.10, 0.12]) + records("hasa", [0.11, 0.15], budget=0.55)
    clients = tables_of(of_clients(write(tmp_path, summary), [0.5]))["clients"]
    assert [cells[-1].text for cells in clients.rows] == ["reference", "not matched"]


def test_clients_of_each_size_are_counted(tmp_path):
    folder = of_clients(write(tmp_path / "sizes"), [0.5, 0.25, 0.5], sizes=[8, 4, 8])
    widths = tables_of(folder)["widths"]
    assert widths.headers[1:] == ("width", "size", "clients", "test examples", "accuracy %")
    found = [[cell.text for cell in cells] for cells in widths.rows]
    assert found[0] == ["uniform", "0.250", "4", "1", "11", "21.00 ± 12.71"]
    assert found[1] == ["uniform", "0.500", "8", "2", "11", "21.00 ± 12.71"]
    # Of nine different widths, tenths have rows; .3 is of the tenth that begins there.
    many = of_clients(write(tmp_path / "many"), [0.21, 0.22, 0.3, 0.31, *np.arange(0.5, 1, 0.1)])
    found = [cells[1].text for cells in tables_of(many)["widths"].rows if cells[0].text == "hasa"]
    assert found[:3] == ["0.2 to 0.3", "0.3 to 0.4", "0.5 to 0.6"]
    assert found[-1] == "0.9 to 1.0"


def test_long_tables_are_in_files_only_and_said(tmp_path):
    folder = of_clients(write(tmp_path), [0.5] * (tables.MOST_ROWS // 2 + 1))
    text = tables.write([folder], ComparisonConfig(), ("markdown", "csv", "html"))
    line = f"Table clients has {tables.MOST_ROWS + 2} rows: see the CSV or HTML format"
    assert line in text
    assert line in (folder / "table.md").read_text(encoding="utf-8")
    assert "| c3 " not in (folder / "table.md").read_text(encoding="utf-8")
    (cells,) = {cells[-1].text for cells in tables_of(folder)["clients"].rows[1::2]}
    assert cells == "+2.00 ± 12.71"
    for name in ("table_clients.csv", "table.html"):
        assert "c3" in (folder / name).read_text(encoding="utf-8")


def test_no_table_of_arms_is_left_out_however_many_there_are(tmp_path):
    """What is left out is named, and where it is; what is in no file is not said to be there."""
    arms = [records(f"policy{number:03}", [0.1, 0.2]) for number in range(tables.MOST_ROWS + 2)]
    folder = write(tmp_path, [line for own in arms for line in own])
    text = tables.write([folder], ComparisonConfig(), ("latex", "markdown"))
    for name in ("table.tex", "table.md"):
        content = (folder / name).read_text(encoding="utf-8")
        for title in ("Mean accuracy", "Worst and tail", "Tests of the", "Cost: requested budget"):
            assert title in content
        assert "policy121" in content
    assert "Clients at round" not in (folder / "table.tex").read_text(encoding="utf-8")
    line = "Table clients has 122 rows: see the CSV or HTML format, which table_formats=csv,html"
    assert line in " ".join(text.split())
    assert "More tables" not in text
    others = tables.write([folder], ComparisonConfig(), ("csv",))
    assert "More tables are in a file of its own each: clients." in others


def test_the_script_writes_one_workdir_and_several(tmp_path):
    one = write(tmp_path / "a", records("uniform", [0.1, 0.2]))
    two = write(tmp_path / "b", records("uniform", [0.3], first_seed=2))
    done = run("tables", f"--workdir={one}")
    assert (done.returncode, done.stderr) == (0, "")
    assert "2 matched seeds" in done.stdout
    assert "15.00 [0, 79]" in done.stdout
    assert "More tables are in table.md: clients." in done.stdout
    formats = "--table_formats=markdown,latex,csv,html"
    done = run("tables", f"--workdir={one},{two}", "--matched=params", formats)
    assert (done.returncode, done.stderr) == (0, "")
    assert "3 matched seeds" in done.stdout
    assert "20.00 [0, 45]" in done.stdout
    assert {path.name for path in one.glob("merged*")} == {
        "merged_table.md",
        "merged_table.tex",
        "merged_table.html",
        *(f"merged_table_{name}.csv" for name in ("headline", "cost", "clients")),
    }
    assert "2 matched seeds" in (one / "table.md").read_text(encoding="utf-8")
    done = run("tables", f"--workdir={one},{two}", "--matched=speed")
    assert done.returncode == 2
    assert "--matched is 'speed': use one of width" in done.stderr
    done = run("tables", f"--workdir={one}", "--table_formats=markdown,word")
    assert done.returncode == 2
    assert "`" not in done.stderr
    assert "--table_formats=markdown,word: name some of markdown,latex,csv,html" in done.stderr


def test_files_are_not_written_through_links(tmp_path):
    folder = write(tmp_path / "run")
    (tmp_path / "mine").write_text("mine", encoding="utf-8")
    (folder / "table.tex").symlink_to(tmp_path / "mine")
    with pytest.raises(UserError, match=r"table.tex is a link"):
        tables.write([folder], ComparisonConfig(), ("latex",))
    assert (tmp_path / "mine").read_text(encoding="utf-8") == "mine"


def test_one_table_by_its_name(tmp_path):
    found = results.read([write(tmp_path)])
    for table in tables.tables_of(found, ComparisonConfig()):
        assert tables.table_of(found, ComparisonConfig(), table.name) == table
    last = tables.table_of(found, ComparisonConfig(), "headline_last")
    assert last.name == "headline"
    with pytest.raises(UserError, match="have no table 'sizes': name one of headline, worst"):
        tables.table_of(found, ComparisonConfig(), "sizes")


def cells_of(table, column):
    """Cells of a column by the name of their row."""
    return {cells[0].text: table.cell(cells[0].text, column) for cells in table.rows}


def test_the_seeds_that_arms_have_in_common_are_counted(tmp_path):
    base, own = records("uniform", BASE[:5]), records("hasa", BASE[:2])
    some = notes_of(write(tmp_path / "some", base + own + records("random", BASE[:5])))
    assert some.startswith("Round 3 is")
    assert "2 to 5 matched seeds. Client" in some
    assert "hasa has 2 of 5 seeds in common" in some
    apart = records("hasa", BASE[:5], first_seed=5)
    none = tables_of(write(tmp_path / "none", base + apart))
    notes = " ".join(none["headline"].notes)
    assert "No matched seed. Client" in notes
    assert "hasa has no seed in common with the reference, so it has no difference." in notes
    # Nothing says that budgets differ, as nothing is known of that.
    assert row(none["headline"], "hasa")[1:] == ["", "", "no common seed"]
    assert row(none["worst"], "hasa")[1] == "no common seed"
    assert {c[-1].text for c in none["clients"].rows} == {"reference", "no common seed"}
    assert "≠" not in " ".join(cell.text for cells in none["cost"].rows for cell in cells)
    assert none["cost"].notes[1] == "Not compared, as no seed is common: hasa."


def test_the_best_is_chosen_by_paired_differences(tmp_path):
    """The mean of `random` is over better seeds, though it gains less than `hasa`."""
    base = [*BASE[:4], 0.60, 0.61, 0.62, 0.60]
    gains = (0.050, 0.051, 0.049, 0.052, 0.050, 0.048, 0.051, 0.049)
    hasa = [a + b for a, b in zip(base, gains, strict=True)]
    random = [a + b / 5 for a, b in zip(base, gains, strict=True)][4:]
    summary = records("uniform", base) + records("hasa", hasa) + records("random", random, 4)
    headline = tables_of(write(tmp_path, summary))["headline"]
    means = cells_of(headline, "mean %")
    assert (means["random"].value or 0) > (means["hasa"].value or 0) > 0
    assert [name for name, cell in means.items() if cell.bold] == ["hasa"]


def test_equal_arms_are_all_the_best(tmp_path):
    own = [a + b for a, b in zip(BASE, GAINS["hasa"], strict=True)]
    summary = records("uniform", BASE) + records("hasa", own) + records("random", own)
    means = cells_of(tables_of(write(tmp_path, summary))["headline"], "mean %")
    assert [name for name, cell in means.items() if cell.bold] == ["hasa", "random"]


def test_a_seed_that_is_not_finite_has_no_verdict_and_is_named(tmp_path):
    lost = [float("nan") if seed == 3 else a + 0.01 for seed, a in enumerate(BASE)]
    other = [a + b for a, b in zip(BASE, GAINS["random"], strict=True)]
    summary = records("uniform", BASE) + records("hasa", lost) + records("random", other)
    found = tables_of(write(tmp_path, summary))
    assert row(found["headline"], "hasa") == ["n/a", "n/a", "n/a", "non-finite at seed 3"]
    assert row(found["headline"], "random")[3] == "worse at 8 seeds"
    notes = " ".join(found["headline"].notes)
    assert "hasa: accuracies are non-finite at seed 3; no verdict rests on NaN." in notes
    assert "adjusted over the only difference;" in notes
    assert "p t adjusted over the only difference of this table" in found["tests"].notes[0]
    assert row(found["tests"], "hasa") == ["n/a"] * 6
    # Equal differences have no p either.
    same = records("uniform", BASE) + records("hasa", [a + 0.01 for a in BASE])
    found = tables_of(write(tmp_path / "same", same))
    assert "p Holm is p t adjusted, p W is" in found["tests"].notes[0]
    # All of the first arm are.
    folder = write(tmp_path / "first", records("hasa", BASE))
    lines = results.read_records(folder / "metrics.csv", ("accuracy",))
    write_csv(folder / "metrics.csv", [{**line, "accuracy": "nan"} for line in lines])
    with pytest.raises(UserError, match=r"accuracies of 'hasa:hasa'.* are non-finite"):
        tables_of(folder)


def test_the_worst_of_the_most_frequent_class_is_not_that_of_single_folds(tmp_path):
    known = {
        f"0.{fold}": {f"{metric}_accuracy": 0.2 * fold for metric in results.METRICS}
        for fold in (1, 2)
    }
    summary = of_folds("uniform", [[0.1, 0.3]]) + of_folds("hasa", [[0.2, 0.3]])
    folder = write(tmp_path, summary, {"data": {"eval_folds": 2}}, baseline=known)
    found = tables_of(folder)
    assert row(found["headline"], "majority")[0] == "30.00"
    assert [cells[0].text for cells in found["worst"].rows] == ["uniform", "hasa"]
    one = write(tmp_path / "one", summary[:2], {"data": {"eval_folds": 2}}, baseline=known)
    assert row(tables_of(one)["headline"], "majority") == ["30.00", "", ""]


def test_empty_counts_of_examples_are_no_fault(tmp_path):
    folder = write(tmp_path)
    lines = results.read_records(folder / "metrics.csv", ("accuracy",))
    write_csv(folder / "metrics.csv", [{**line, "num_examples": ""} for line in lines])
    assert "Few test" not in notes_of(folder)
    assert tables_of(folder)["clients"].rows[0][1].text == "1"


def test_a_reference_is_named_by_a_policy_that_no_other_arm_has():
    arms = [Arm("fjord", "uniform"), Arm("fjord", "levels"), Arm("hasa", "random")]
    assert compared.choose_arm(arms, "levels") == arms[1]
    assert compared.choose_arm(arms, "hasa") == compared.choose_arm(arms, "random") == arms[2]
    with pytest.raises(UserError, match="not one arm"):
        compared.choose_arm([*arms, Arm("scalefl", "levels")], "levels")
