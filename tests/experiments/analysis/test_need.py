"""The measured need of width, its rank correlation with scores, and scores of a file."""

import numpy as np
import pytest

from experiments.analysis import need, results, table_need
from experiments.analysis.rendering import markdown
from experiments.study.block import Block
from hasa_jax import UserError
from tests.experiments.analysis import workdirs
from tests.support.scripts import VECTORS, records_of, run


def workdir_of(folder, accuracies, seeds=(0,), budget=0.2, more=None, **manifest):
    """Validation accuracies at rounds 1 and 2; the test split must not matter."""
    summary = [workdirs.record("uniform", seed, 0.5, round=2) for seed in seeds]
    config = {"allocation": {"budget": budget}, **(more or {})}
    workdirs.write(folder, summary, config, script="train", **manifest)
    names = ("method", "policy", "extraction", "aggregation", "seed")
    lines = [
        {
            **{name: own[name] for name in names},
            **{"round": round, "client": client, "split": split, "accuracy": value},
        }
        for own in summary
        for client, value in accuracies.items()
        for round, split, value in (
            (1, "validation", 0.9),
            (2, "validation", value),
            (2, "test", 0.8),
        )
    ]
    workdirs.write_csv(folder / "metrics.csv", lines)
    return folder


def pair_in(*folders):
    return need.pair_of(list(map(results.source_of, folders)))


def test_accuracies_are_of_validation_at_the_last_round(tmp_path):
    found = results.read([workdir_of(tmp_path / "w", {"a": 0.25, "'=b": 0.5})])
    assert need.accuracies(found) == {(Block(0), "a"): 0.25, (Block(0), "=b"): 0.5}


def test_any_number_of_workdirs_in_any_order_are_two_budgets(tmp_path):
    wide = workdir_of(tmp_path / "wide", {"a": 0.75}, seeds=(0, 1), budget=0.8)
    one = workdir_of(tmp_path / "one", {"a": 0.25}, seeds=(0,))
    other = workdir_of(tmp_path / "other", {"a": 0.5}, seeds=(1,))
    narrow, found = pair_in(wide, one, other)
    assert need.accuracies(narrow) == {(Block(0), "a"): 0.25, (Block(1), "a"): 0.5}
    assert need.accuracies(found) == {(Block(0), "a"): 0.75, (Block(1), "a"): 0.75}
    assert (narrow.folders, found.folders) == ((one, other), (wide,))


def test_workdirs_that_are_no_pair_are_refused(tmp_path):
    narrow = workdir_of(tmp_path / "narrow", {"a": 0.25})
    wide = workdir_of(tmp_path / "wide", {"a": 0.75}, budget=0.8)
    third = workdir_of(tmp_path / "third", {"a": 0.75}, budget=0.5)
    seeds = workdir_of(tmp_path / "seeds", {"a": 0.75}, budget=0.8, seeds=(0, 1))
    with pytest.raises(UserError, match=r"two budgets.*: these have `budget` 0.2$"):
        pair_in(narrow)
    with pytest.raises(UserError, match=r"these have `budget` 0.2, 0.5, 0.8$"):
        pair_in(narrow, wide, third)
    with pytest.raises(UserError, match="other seeds or data"):
        pair_in(narrow, seeds)


@pytest.mark.parametrize(
    ("room", "name", "values"),
    [
        ("training", "num_rounds", (30, 100)),
        ("training", "client_lr", (0.1, 0.01)),
        ("model", "hidden_dim", (8, 16)),
        ("allocation", "budget_unit", ("width", "macs")),
    ],
)
def test_a_pair_differs_in_its_budget_only(room, name, values, tmp_path):
    folders = [
        workdir_of(
            tmp_path / str(at),
            {"a": 0.25},
            budget=budget,
            more={room: {**({"budget": budget} if room == "allocation" else {}), name: own}},
        )
        for at, (budget, own) in enumerate(zip((0.2, 0.8), values, strict=True))
    ]
    with pytest.raises(UserError, match=f"`{name}` is .* in .*0 and .* in .*1"):
        pair_in(*folders)


def test_rank_correlation():
    assert table_need.rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([3.0, 4.0, 5.0])) == 1
    assert table_need.rank_correlation(np.array([1.0, 2.0, 9.0]), np.array([3.0, 2.0, 1.0])) == -1
    assert np.isnan(table_need.rank_correlation(np.ones(3), np.arange(3.0)))


def test_the_summary_shows_how_a_score_follows_the_need():
    one, two = Block(0), Block(1)
    wants = {one: np.array([0.1, 0.2, 0.4]), two: np.array([0.3, 0.1, 0.2])}
    scores = {
        "good": {one: np.array([1.0, 2.0, 3.0]), two: np.array([3.0, 1.0, 2.0])},
        "half": {one: np.array([1.0, 2.0, 3.0]), two: np.array([1.0, 3.0, 2.0])},
        "same": {one: np.ones(3), two: np.ones(3)},
    }
    good, half, same = (
        [cell.text for cell in cells] for cells in table_need.correlations(wants, scores).rows
    )
    assert good == ["good", "+1.00 ± 0.00", "2 of 2"]
    assert half[1].startswith("+0.00 ±")
    assert half[2] == "1 of 2"
    assert same[1] == "none"


def test_a_seed_is_one_value_however_many_folds_it_has():
    """Folds agree with one score by 1, 1 and -1, and -1, -1 and 1: the seeds by 1/3 and -1/3."""
    wants = {Block(s, f): np.array([0.1, 0.2, 0.3]) for s in (0, 1) for f in (1, 2, 3)}
    up, down = np.array([1.0, 2.0, 3.0]), np.array([3.0, 2.0, 1.0])
    score = dict(zip(wants, [up, up, down, down, down, up], strict=True))
    table = table_need.correlations(wants, {"score": score})
    correlation = table.cell("score", "rank correlation with the need")
    assert correlation.text == "+0.00 ± 4.24"  # 12.706 x sqrt(2) / 3 / sqrt(2)
    assert table.rows[0][2].text == "3 of 6"


def test_results_without_validation_are_refused(tmp_path):
    folder = workdir_of(tmp_path / "w", {"a": 0.25})
    (folder / "metrics.csv").write_text(
        (folder / "metrics.csv").read_text().replace("validation", "test")
    )
    with pytest.raises(UserError, match="validation records"):
        need.accuracies(results.read([folder]))


@pytest.mark.slow
def test_widths_can_follow_the_measured_need(tmp_path):
    images = [*VECTORS, "--num_images=300", "--num_clients=7", "--hidden_dim=8"]
    common = [*images, "--num_rounds=1", "--num_seeds=2", "--checkpoint_every=0"]
    one, two = ("--seed=1", "--num_seeds=1"), ("--num_seeds=1",)
    for name, budget, seeds in (("wide", 0.8, ()), ("one", 0.2, one), ("other", 0.2, two)):
        flags = [f"--budget={budget}", f"--workdir={tmp_path / name}", *common, *seeds]
        done = run("compare", "--policies=uniform", *flags)
        assert done.returncode == 0, done.stderr
    # The seeds of narrow subnets are in two workdirs.
    done = run("need", *(str(tmp_path / name) for name in ("one", "wide", "other")), *common)
    assert done.returncode == 0, done.stderr
    assert "feature_divergence" in done.stdout
    wants = records_of(tmp_path / "wide" / "need.csv")
    lines = table_need.read_lines(tmp_path / "wide" / "need.csv")
    dealt = results.read([tmp_path / "wide"]).dealt
    assert dealt == "synthetic_images draws other clients for each seed"
    text = markdown.document(table_need.tables_of(lines, dealt))
    assert text == (tmp_path / "wide" / "need.md").read_text(encoding="utf-8")
    assert len(wants) == 2 * 7
    done = run(
        "compare",
        "--policies=uniform,hasa@file,hasa@entropy",
        f"--score_path={tmp_path / 'wide' / 'need.csv'}",
        f"--workdir={tmp_path / 'policies'}",
        *common,
    )
    assert done.returncode == 0, done.stderr
    assert "hasa@file" in done.stdout
    lines = records_of(tmp_path / "policies" / "metrics.csv")
    for seed in ("0", "1"):
        score = {
            record["client"]: float(record["score"]) for record in wants if record["seed"] == seed
        }
        widths = {
            record["client"]: float(record["width"])
            for record in lines
            if (record["policy"], record["seed"], record["split"]) == ("hasa@file", seed, "test")
        }
        neediest, least = max(score, key=score.get), min(score, key=score.get)
        assert widths[neediest] > widths[least]
