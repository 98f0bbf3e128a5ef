"""More seeds by rule, until the intervals of all comparisons are narrow enough."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
import scipy.stats

from experiments.analysis.coverage import simulated
from experiments.analysis.stopped import Rule
from experiments.config import RunConfig, with_fields
from experiments.study import run as studies
from experiments.study.arm import Arm
from experiments.study.block import Block
from experiments.study.stopping import check_rule, finished, rule_of, seeds_at_a_time
from hasa_jax import UserError
from tests.support.scripts import VECTORS, records_of, run

UNIFORM, RANDOM = Arm("hasa", "uniform"), Arm("hasa", "random")
ARMS = ["--policies=uniform,random"]


def config_of(**values):
    return with_fields(RunConfig(), {"until_halfwidth": 0.5, "num_seeds": 2, **values})


def done(*arguments):
    found = run("compare", *VECTORS, *ARMS, *arguments)
    assert found.returncode == 0, found.stderr
    return " ".join(found.stdout.split())


def half_of(folder, seeds):
    """Half the interval of the difference at the last round over the first seeds, by SciPy."""
    by_arm = {"uniform": [], "random": []}
    for record in records_of(folder / "summary.csv"):
        if record["round"] == "2" and int(record["seed"]) < seeds:
            by_arm[record["policy"]].append(100 * float(record["mean_accuracy"]))
    gains = np.array(by_arm["random"]) - by_arm["uniform"]
    low, high = scipy.stats.t.interval(0.95, seeds - 1, scale=scipy.stats.sem(gains))
    return (high - low) / 2


@pytest.fixture(scope="module")
def six_seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stopping") / "w"
    done("--num_seeds=6", f"--workdir={folder}")
    halves = [half_of(folder, seeds) for seeds in (2, 3, 4, 5, 6)]
    return folder, halves


@pytest.fixture(scope="module")
def until(six_seeds):
    """A width that the rule reaches at four seeds or later, and the first number of seeds."""
    _, halves = six_seeds
    limit = min(halves[2:]) * 1.001
    seeds = next(n for n, half in zip((2, 3, 4, 5, 6), halves, strict=True) if half <= limit)
    assert seeds > 3
    return limit, seeds


@pytest.fixture(scope="module")
def by_rule(until, tmp_path_factory):
    folder = tmp_path_factory.mktemp("rule") / "w"
    rule = [f"--until_halfwidth={until[0]}", "--max_seeds=6", "--num_seeds=2"]
    printed = done(*rule, f"--workdir={folder}")
    return folder, rule, printed


def test_seeds_are_added_until_the_widest_interval_is_narrow_enough(by_rule, until, six_seeds):
    folder, _, printed = by_rule
    limit, seeds = until
    known = json.loads((folder / "run.json").read_text())
    assert known["config"]["comparison"]["num_seeds"] == seeds
    rule = known["stopping"]
    assert (rule["half"], rule["most"], rule["seeds"]) == (limit, 6, seeds)
    assert rule["reached"] == pytest.approx(six_seeds[1][seeds - 2])
    assert list(known["data_sha256"]) == [str(seed) for seed in range(seeds)]
    assert f"Stopped by rule at {seeds} seeds" in printed
    assert f"Stopped by rule at {seeds} seeds" in (folder / "table.md").read_text()
    assert f"{seeds} matched seeds" in printed
    assert "2 seeds: the widest interval is" in printed


def test_the_records_are_those_of_as_many_seeds(by_rule, until, six_seeds):
    lines = (six_seeds[0] / "metrics.csv").read_text().splitlines()
    expected = [line for line in lines[1:] if int(line.split(",")[4]) < until[1]]
    assert (by_rule[0] / "metrics.csv").read_text().splitlines()[1:] == expected


def test_a_finished_run_does_nothing(by_rule, monkeypatch, until):
    folder, rule, _ = by_rule
    before = (folder / "run.json").read_bytes()

    def never(study):
        raise AssertionError(study)

    monkeypatch.setattr(studies, "run_study", never)
    printed = done(*rule, f"--workdir={folder}")
    assert "nothing is left to run" in printed
    assert f"Stopped by rule at {until[1]} seeds" in printed
    assert (folder / "run.json").read_bytes() == before


def test_a_killed_run_goes_on(by_rule, until, tmp_path):
    """What a kill leaves is run.json of three seeds, and checkpoints of some of them."""
    folder = shutil.copytree(by_rule[0], tmp_path / "w")
    for table in ("metrics", "summary", "timings"):
        (folder / f"{table}.csv").unlink()
    known = json.loads((folder / "run.json").read_text())
    known["config"]["comparison"]["num_seeds"] = 3
    known["stopping"] |= {"seeds": 2, "reached": 99.0}
    (folder / "run.json").write_text(json.dumps(known))
    shutil.rmtree(folder / "checkpoints" / "hasa-random-2")
    for seed in range(3, until[1]):
        for policy in ("uniform", "random"):
            shutil.rmtree(folder / "checkpoints" / f"hasa-{policy}-{seed}")
    printed = done(*by_rule[1], f"--workdir={folder}")
    assert f"Stopped by rule at {until[1]} seeds" in printed
    for table in ("metrics.csv", "summary.csv"):
        assert (folder / table).read_bytes() == (by_rule[0] / table).read_bytes()


@pytest.mark.slow
def test_a_rule_that_is_not_reached_goes_on_with_more_seeds(by_rule, until, tmp_path):
    _, seeds = until
    folder = shutil.copytree(by_rule[0], tmp_path / "w")
    narrow = ["--until_halfwidth=0.01", "--num_seeds=2", f"--workdir={folder}"]
    printed = done(*narrow, f"--max_seeds={seeds}")
    assert f"at {seeds} seeds, of at most {seeds}, needs " in printed
    assert "Not reached: ± " in printed
    printed = done(*narrow, f"--max_seeds={seeds + 1}")
    assert f"at {seeds + 1} seeds, of at most {seeds + 1}, needs " in printed
    # Without the rule, what it said stays as long as nothing is new.
    printed = done("--num_seeds=2", f"--workdir={folder}")
    assert "Not reached: ± " in printed
    assert "Not reached" not in done(f"--num_seeds={seeds + 2}", f"--workdir={folder}")


def test_a_finished_run_of_another_reference_states_its_own_rule(by_rule, tmp_path):
    folder = shutil.copytree(by_rule[0], tmp_path / "w")
    printed = done(*by_rule[1], f"--workdir={folder}", "--reference=random")
    assert "nothing is left to run" not in printed
    assert json.loads((folder / "run.json").read_text())["stopping"]["reference"] == "random"
    assert "less that of random at round 2" in printed


@pytest.mark.slow
def test_no_seed_is_left_out_where_seeds_share_programs(tmp_path):
    """Three seeds fill a program and a half, so the third one would run again with a fourth."""
    shared = ["--seeds_per_program=2", f"--workdir={tmp_path / 'w'}"]
    done("--num_seeds=3", *shared)
    rule = ["--until_halfwidth=0.01", "--max_seeds=6", *shared]
    found = run("compare", *VECTORS, *ARMS, "--num_seeds=2", *rule)
    assert found.returncode != 0
    assert "raise --num_seeds to 4" in " ".join(found.stderr.split())
    printed = done("--num_seeds=4", *rule)
    assert "at 6 seeds, of at most 6, needs " in printed
    records = records_of(tmp_path / "w" / "summary.csv")
    found = [(r["policy"], r["seed"]) for r in records if r["round"] == "2"]
    assert sorted(found) == [(arm, seed) for arm in ("random", "uniform") for seed in "012345"]
    known = json.loads((tmp_path / "w" / "run.json").read_text())
    assert known["config"]["comparison"]["num_seeds"] == 6


def test_the_rule_is_of_the_widest_interval_and_a_seed_is_the_mean_of_its_folds():
    accuracies = {
        UNIFORM: {Block(s, f): 0.5 for s in range(3) for f in (1, 2)},
        # By seed: .51, .52 and .53; its folds differ by far more.
        RANDOM: {Block(s, f): 0.51 + s / 100 + 0.2 * (2 * f - 3) for s in range(3) for f in (1, 2)},
        Arm("fjord", "uniform"): {Block(s, f): 0.6 for s in range(3) for f in (1, 2)},
    }
    rule = rule_of(config_of(max_seeds=9), accuracies, 7)
    # t_{.975, 2} = 4.3027, and the deviation is one point.
    assert rule.reached == pytest.approx(4.3027 / np.sqrt(3), abs=1e-4)
    assert (rule.widest, rule.reference, rule.seeds, rule.round) == (
        "hasa:random",
        "hasa:uniform",
        3,
        7,
    )
    assert rule.needs == 18
    assert not rule.met
    assert not rule.ends
    other = rule_of(config_of(reference="hasa:random"), accuracies, 7)
    assert other.reached == pytest.approx(rule.reached)
    assert other.widest in ("hasa:uniform", "fjord:uniform")


def test_what_a_rule_says():
    own = Rule(0.25, 60, 23, 0.2412, "hasa", "uniform", 15, 22)
    assert own.text.startswith("Stopped by rule at 23 seeds: ")
    assert "± 0.241 of hasa" in own.text
    other = Rule(0.25, 60, 60, 0.312, "hasa", "uniform", 15, 92)
    assert other.text.startswith(
        "Not reached: ± 0.312 of hasa at 60 seeds, of at most 60, needs 92"
    )
    assert "at most 0.25 points" in other.text
    assert other.ends
    assert not other.met


def test_equal_differences_do_not_meet_a_rule():
    """A hit more in each of two seeds has no interval; so do means that differ by rounding."""
    base = {Block(seed): 0.5 for seed in range(2)}
    better = {Block(seed): 0.5 + 1 / 21 + seed * 1e-16 for seed in range(2)}
    rule = rule_of(config_of(max_seeds=9), {UNIFORM: base, RANDOM: better}, 7)
    assert (rule.reached, rule.needs) == (0, None)
    assert not rule.met
    assert not rule.ends
    assert rule.text.startswith("Not reached: the differences are equal over 2 seeds")
    assert dataclasses.replace(rule, seeds=9).ends


def test_an_arm_without_an_accuracy_does_not_meet_a_rule():
    accuracies = {
        UNIFORM: {Block(seed): 0.5 for seed in range(3)},
        RANDOM: {Block(seed): 0.5 + seed / 1000 for seed in range(3)},
        Arm("fjord", "uniform"): {Block(seed): np.nan for seed in range(3)},
    }
    for arms in (list(accuracies), [UNIFORM, Arm("fjord", "uniform"), RANDOM]):
        rule = rule_of(config_of(max_seeds=9), {arm: accuracies[arm] for arm in arms}, 7)
        assert (rule.widest, rule.needs, rule.met) == ("fjord:uniform", None, False)
        assert "needs n/a" in rule.text


def test_a_rule_of_another_reference_is_another():
    arms = [UNIFORM, RANDOM, Arm("fjord", "uniform")]
    rule = Rule(0.5, 60, 4, 0.4, "fjord:uniform", "hasa:uniform", 15, 4)
    config = config_of(num_rounds=15)
    assert finished(rule, config, arms)
    assert finished(rule, with_fields(config, {"reference": "hasa:uniform"}), arms)
    assert not finished(rule, with_fields(config, {"reference": "fjord"}), arms)
    assert not finished(rule, with_fields(config, {"until_halfwidth": 0.4}), arms)


def test_groups_with_a_block_that_did_not_run_are_left():
    config = config_of(seeds_per_program=2)
    study = studies.Study("compare", config, set(), (UNIFORM, RANDOM), tuple(range(6)))
    ran = [Block(seed) for seed in range(3)]
    assert study.left(frozenset(ran)) == [(Block(2), Block(3)), (Block(4), Block(5))]
    assert study.left(frozenset(study.blocks)) == []


@pytest.mark.parametrize(
    ("values", "step"),
    [
        ({}, 1),
        ({"seeds_per_program": 4}, 4),
        ({"seeds_per_program": 4, "eval_folds": 2}, 2),
        ({"seeds_per_program": 5, "eval_folds": 10}, 1),
        ({"seeds_per_program": 4, "eval_folds": 10}, 2),
    ],
)
def test_the_seeds_that_are_added_fill_programs(values, step):
    assert seeds_at_a_time(config_of(**values)) == step


def test_few_first_seeds_are_warned_of():
    assert check_rule(config_of(num_seeds=10), set(), [UNIFORM, RANDOM], asked=10) == []
    (line,) = check_rule(config_of(num_seeds=9), set(), [UNIFORM, RANDOM], asked=9)
    assert line.startswith("the rule begins with 9 seeds: ")


def test_intervals_of_a_rule_cover_a_little_less():
    """2,000 studies; without a rule (one look at 10 seeds), 95 % within four deviations, 2 %."""
    fixed = simulated(10, 1, 0.001, runs=2000, most=10)
    assert fixed.seeds == 10
    assert fixed.coverage == pytest.approx(0.95, abs=0.02)
    ruled = simulated(3, 1, 0.5, runs=2000, most=60)
    assert 0.87 < ruled.coverage < 0.93
    assert 10 < ruled.seeds < 20
    assert abs(ruled.bias) < 4 * ruled.error
    several = simulated(10, 3, 0.8, runs=500, most=40)
    assert several.coverage == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize(
    ("values", "arms", "message"),
    [
        ({}, [UNIFORM], "`until_halfwidth` is of differences"),
        ({"num_seeds": 1}, [UNIFORM, RANDOM], "`num_seeds` is 1: with `until_halfwidth`"),
        ({"num_seeds": 9, "max_seeds": 8}, [UNIFORM, RANDOM], "`num_seeds` is 9, but `max_seeds`"),
        ({"seeds_per_program": 4}, [UNIFORM, RANDOM], "`num_seeds` is 2: .* a multiple of 4"),
        (
            {"seeds_per_program": 2, "max_seeds": 9},
            [UNIFORM, RANDOM],
            "`max_seeds` is 9: .* a multiple of 2",
        ),
        ({"until_halfwidth": 0}, [UNIFORM, RANDOM], "`max_seeds` is read only with"),
    ],
)
def test_rules_that_cannot_be(values, arms, message):
    config = config_of(**values)
    with pytest.raises(UserError, match=message):
        check_rule(config, {"max_seeds"}, arms, asked=config.comparison.num_seeds)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"max_seeds": 2}, "workdir w holds 3 seeds, but `max_seeds` is 2: raise `max_seeds`"),
        (
            {"seeds_per_program": 2},
            "workdir w holds 3 seeds: .* must fill their programs; raise `num_seeds` to 4",
        ),
    ],
)
def test_rules_that_a_workdir_cannot_follow(values, message):
    config = config_of(num_seeds=3, workdir="w", **values)
    with pytest.raises(UserError, match=message):
        check_rule(config, set(), [UNIFORM, RANDOM], asked=2)


def test_intervals_that_a_rule_may_ask_for():
    assert config_of(until_halfwidth=0).comparison.until_halfwidth == 0
    assert config_of(until_halfwidth=1e-3).comparison.until_halfwidth == 1e-3
    with pytest.raises(UserError, match=r"`until_halfwidth` is 1e-200: use 0\.001 points"):
        config_of(until_halfwidth=1e-200)
