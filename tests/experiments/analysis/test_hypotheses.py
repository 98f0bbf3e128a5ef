"""The three hypotheses: contrasts by hand, and answers that follow from them."""

import numpy as np
import pytest

from experiments.analysis import hypotheses, results
from experiments.analysis.statistics import holm, t_p
from hasa_jax import UserError
from tests.experiments.analysis.workdirs import records, write
from tests.support.scripts import records_of, run

BASE = np.array([0.30, 0.31, 0.29, 0.32, 0.30, 0.28, 0.31, 0.30])
NOISE = np.array([1, -2, 0, 1, -1, 2, 1, -2]) / 1000
GAINS = {
    "uniform": 0.0,
    "hasa": 0.02,
    "inverse_hasa": -0.01,
    hypotheses.EXCESS: -0.02,
    "inverse_size": 0.02,
    "random": 0.0,
}


def summary_of(gains=GAINS, weighted=0.0, seeds=8):
    """Records in which a policy has so much more accuracy; over examples, a gain of its own."""
    lines = []
    for number, (policy, gain) in enumerate(gains.items()):
        own = BASE[:seeds] + gain + np.roll(NOISE, number)[:seeds] * (policy != "uniform")
        for line, accuracy in zip(records(policy, own), own, strict=True):
            moved = weighted if policy == "inverse_size" else gain
            lines.append(line | {"weighted_accuracy": str(accuracy - gain + moved)})
    return lines


def text_of(folder):
    """Writes the tables of a workdir; returns hypotheses.md."""
    hypotheses.write(folder)
    return (folder / "hypotheses.md").read_text(encoding="utf-8")


def found_in(folder, **options):
    return hypotheses.findings(results.read([write(folder, summary_of(**options))]), 3)


def test_contrasts_by_hand(tmp_path):
    found = found_in(tmp_path)
    wanted = {"hasa": 2, "direction": 3, "excess": -2, "size": 2, "beyond size": 0}
    for name, points in wanted.items():
        assert found[name].gains.mean() == pytest.approx(points, abs=0.05)
    np.testing.assert_allclose(found["hasa"].gains, 100 * (0.02 + np.roll(NOISE, 1)))
    np.testing.assert_allclose(found["cheapness"].gains, 2)
    adjusted = holm([t_p(own.gains) for own in found.values()])
    assert [own.adjusted for own in found.values()] == pytest.approx(adjusted, nan_ok=True)


def test_answers_follow_the_contrasts(tmp_path):
    lines = hypotheses.answers(found_in(tmp_path))
    assert lines[0].startswith("Heterogeneity needs width: contradicted (-2.0")
    assert lines[1].startswith("Small clients need width: confirmed (+2.0")
    assert "HASA is not told apart from it" in lines[1]


def test_a_gain_that_examples_share_is_not_cheapness(tmp_path):
    noisy = {**GAINS, "inverse_size": 0.02}
    cheap = found_in(tmp_path / "cheap", gains=noisy, weighted=0.0)["cheapness"]
    shared = found_in(tmp_path / "shared", gains=noisy, weighted=0.02)["cheapness"]
    assert cheap.gains.mean() == pytest.approx(2)
    assert shared.gains.mean() == pytest.approx(0, abs=1e-9)
    assert shared.verdict == "not told apart"


def test_what_is_not_resolved_says_how_many_seeds_would(tmp_path):
    lines = hypotheses.answers(found_in(tmp_path, seeds=3, gains={**GAINS, "inverse_size": 0.001}))
    assert "open, " in lines[1]
    assert "seeds would resolve 0.25 points" in lines[1]


@pytest.mark.parametrize(
    ("gain", "wanted"),
    [(-0.0013, "not confirmed, no gain ("), (0.0005, "not confirmed, no gain of more than 0.18 ")],
)
def test_an_interval_below_zero_is_no_gain(tmp_path, gain, wanted):
    lines = hypotheses.answers(found_in(tmp_path, gains={**GAINS, hypotheses.EXCESS: gain}))
    assert lines[0].startswith(f"Heterogeneity needs width: {wanted}")


def test_contrasts_of_other_budgets_have_no_test(tmp_path):
    lines = [
        line | ({"budget_width": "0.52"} if line["policy"] == "inverse_size" else {})
        for line in summary_of()
    ]
    folder = write(tmp_path, lines)
    found = hypotheses.findings(results.read([folder]), 3)
    assert [name for name, own in found.items() if not own.matched] == [
        "size", "cheapness", "beyond size",
    ]  # fmt: skip
    kept = [own for own in found.values() if own.matched]
    adjusted = holm([t_p(own.gains) for own in kept])
    assert [own.adjusted for own in kept] == pytest.approx(adjusted, nan_ok=True)
    text = text_of(folder)
    plain = " ".join(text.split())
    assert "Small clients need width: not tested, as budgets do not match." in plain
    assert "size: budgets do not match in" in plain
    assert max(map(len, text.splitlines())) <= 100


def test_contrasts_of_fewer_seeds_say_so(tmp_path):
    lines = [r for r in summary_of() if (r["policy"], r["seed"]) != ("random", "7")]
    text = text_of(write(tmp_path, lines))
    plain = " ".join(text.split())
    assert "8 matched seeds" in plain
    assert "unequal: over the 7 of 8 seeds that both policies have." in plain
    assert plain.count("of 8 seeds") == 1


def test_rounds_that_are_left_out_are_counted(tmp_path):
    early = [{**line, "round": "1"} for line in summary_of() if line["seed"] != "7"]
    text = text_of(write(tmp_path, [*early, *summary_of()]))
    assert "Left out: 1 of 2 rounds," in text
    assert "8 matched seeds" in text
    assert "Left out" not in text_of(write(tmp_path / "all", summary_of()))


def test_a_run_that_has_not_ended_is_said_to_be_one(tmp_path):
    folder = write(tmp_path, summary_of(), {"training": {"num_rounds": 3}})
    for name in ("summary", "metrics"):
        (folder / f"{name}.csv").rename(folder / f"{name}.csv.partial")
    assert "the run has not ended; of 48 pairs" in " ".join(text_of(folder).split())


def test_the_plain_mean_is_what_the_third_answer_is_about(tmp_path):
    line = hypotheses.answers(found_in(tmp_path))[2]
    assert line.startswith(
        "The gain is one of the plain mean, in which small clients count in full"
    )
    assert "only" not in line


def test_the_script_writes_a_file_in_each_folder(tmp_path):
    folders = [write(tmp_path / name, summary_of()) for name in ("one", "other")]
    done = run("hypotheses", f"--workdir={folders[0]},{folders[1]}")
    assert done.returncode == 0, done.stderr
    for folder in folders:
        text = (folder / "hypotheses.md").read_text(encoding="utf-8")
        assert done.stdout.count("Round 3, chosen by validation of uniform:") == 2
        assert "Aggregation coverage, 8 matched seeds" in " ".join(text.split())
        assert "| beyond size" in text
        assert max(map(len, text.splitlines())) <= 100


def test_other_formats_have_the_same_table(tmp_path):
    early = [{**line, "round": "1"} for line in summary_of(weighted=0.01)]
    folder = write(tmp_path, [*early, *summary_of()])
    shown = hypotheses.write(folder, ("csv", "latex", "html"))
    names = ("hypotheses.csv", "hypotheses_last.csv", "hypotheses.tex", "hypotheses.html")
    assert all((folder / name).exists() for name in names)
    assert not (folder / "hypotheses.md").exists()
    lines = records_of(folder / "hypotheses_last.csv")
    assert [line["question"] for line in lines] == list(hypotheses.CONTRASTS)
    assert float(lines[0]["points"]) == pytest.approx(2)
    assert "Round 3, the last:" in shown
    assert "Aggregation coverage, 8 matched seeds." in shown
    # Of other results, a table that they do not have does not stay.
    hypotheses.write(write(tmp_path, summary_of()), ("csv",))
    assert not (folder / "hypotheses_last.csv").exists()


def test_a_missing_policy_is_one_line(tmp_path):
    gains = {policy: gain for policy, gain in GAINS.items() if policy != "random"}
    with pytest.raises(UserError, match="no policy random"):
        found_in(tmp_path, gains=gains)


def test_equal_differences_decide_nothing(tmp_path, monkeypatch):
    """A gain that is the same on all seeds has no test, so it is no bound either."""
    monkeypatch.setattr("tests.experiments.analysis.test_hypotheses.NOISE", np.zeros(8))
    lines = hypotheses.answers(found_in(tmp_path))
    assert lines[1].startswith("Small clients need width: open, as one seed, or equal differences")
