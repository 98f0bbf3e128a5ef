"""The testbed: its cells, and what it shows of clients whose needs are known."""

import csv
import itertools

import numpy as np
import pytest

from experiments.flags import config_from_flags
from experiments.study.testbed import cells_of
from hasa_jax.base import UserError
from tests.support.scripts import ROOT, run

TINY = [
    "--dataset=synthetic_needs", "--num_titles=80", "--test_titles=4", "--hidden_dim=64",
    "--rare_words=8", "--num_rounds=1", "--policies=uniform,hasa", "--num_seeds=2",
    "--seeds_per_program=2", "--execution=masked",
]  # fmt: skip
OF_NEED = "--reallocate_every"


def cells(*flags):
    return cells_of(*config_from_flags(["testbed", *flags]))


def test_cells_differ_in_their_correlations_only(tmp_path):
    found = cells(*TINY, f"--workdir={tmp_path}")
    pairs = [(c.config.data.score_correlation, c.config.data.size_correlation) for c in found]
    assert sorted(pairs) == sorted(itertools.product((-1, 0, 1), repeat=2))
    assert len({cell.config.reporting.workdir for cell in found}) == 9
    assert len({(cell.config.training, cell.config.comparison) for cell in found}) == 1


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (["--workdir=a"], "synthetic_needs"),
        (["--dataset=synthetic_needs"], "`workdir`"),
        (
            ["--dataset=synthetic_needs", "--workdir=a", "--size_correlation=1"],
            "`size_correlation`",
        ),
        (
            ["--dataset=synthetic_needs", "--workdir=a", "--methods=fedavg:uniform,hasa:hasa"],
            "several methods",
        ),
    ],
)
def test_what_is_no_testbed_is_refused(flags, message):
    with pytest.raises(UserError, match=message):
        cells(*flags)


@pytest.mark.slow
def test_a_share_runs_and_goes_on(tmp_path):
    flags = [*TINY, f"--workdir={tmp_path}", "--shard=9/9"]
    first = run("testbed", *flags)
    assert (first.returncode, first.stderr) == (0, "")
    assert "8 of 9 cells are missing." in first.stdout
    names = {path.name for path in tmp_path.iterdir()}
    assert names == {"score-1_size-1", "testbed.md", "testbed.png"}
    records = (tmp_path / "score-1_size-1/summary.csv").read_bytes()
    assert run("testbed", *flags).returncode == 0
    assert (tmp_path / "score-1_size-1/summary.csv").read_bytes() == records


def by_client(folder, policy):
    """Returns the mean over seeds of each client's test accuracy at the last round, in percent."""
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        lines = [r for r in csv.DictReader(file) if (r["policy"], r["split"]) == (policy, "test")]
    last = max(int(line["round"]) for line in lines)
    found = {}
    for line in lines:
        if int(line["round"]) == last:
            found.setdefault(line["client"], []).append(100 * float(line["accuracy"]))
    return np.array([np.mean(values) for values in found.values()])


@pytest.mark.slow
def test_need_for_width_follows_difficulty_and_nothing_else(tmp_path):
    """Accuracy at width .8 less that at .2, in the cell whose three traits are uncorrelated."""
    lines = (ROOT / "experiments/configs/testbed.flags").read_text(encoding="utf-8").splitlines()
    common = [line for line in lines if line.startswith("--") and not line.startswith(OF_NEED)]
    common += ["--score_correlation=0", "--size_correlation=0", "--policies=uniform"]
    common += ["--num_seeds=3", "--seeds_per_program=3", "--eval_every=12"]
    found = []
    for budget in (0.8, 0.2):
        folder = tmp_path / str(budget)
        done = run("compare", *common, f"--budget={budget}", f"--workdir={folder}")
        assert done.returncode == 0, done.stderr
        found.append(by_client(folder, "uniform"))
    need = found[0] - found[1]
    # Clients are in the order of three signs: hard, unlike, large.
    cube = need.reshape(2, 2, 2)
    hard, unlike, large = (np.diff(cube.mean(axis=axes))[0] for axes in ((1, 2), (0, 2), (0, 1)))
    assert hard > 10
    assert abs(unlike) < 2
    assert abs(large) < 2
    assert np.abs(cube[0]).max() < 3
