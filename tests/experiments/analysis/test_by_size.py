"""Local and global accuracy of every size: the table by hand, and of a real run."""

import csv
import json
import shutil

import numpy as np
import pytest

from experiments.analysis import by_size, tables
from hasa_jax import UserError
from hasa_jax.supernet.costs import BUDGET_UNITS
from tests.experiments.test_train_and_compare import rows_of, run

FRONT = {"method": "heterofl", "policy": "levels", "extraction": "prefix", "aggregation": "full"}


def write(path, rows):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


@pytest.fixture
def folder(tmp_path):
    """Two seeds, two clients of size 8 and one of size 4; level .5 is seen, .25 is not."""
    clients, sizes = [], []
    for seed, shift in ((0, 0.0), (1, 0.1)):
        for round in (1, 2):
            front = {**FRONT, "seed": seed, "round": round}
            for client, (units, accuracy) in enumerate([(8, 0.2), (8, 0.4), (4, 0.3)]):
                value = accuracy * round + shift
                own = {"client": client, "units": units, "split": "test", "accuracy": value}
                clients += [{**front, **own}, {**front, **own, "split": "validation"}]
            for level, units, accuracy in (("1", 8, 0.3), ("0.5", 4, 0.2), ("0.25", 2, 0.1)):
                both = {
                    "global_accuracy": accuracy * round,
                    "local_accuracy": accuracy * round + shift,
                }
                sizes.append({**front, "level": level, "units": units, **both})
    budgets = {f"budget_{u}": 0.4 for u in ("requested", *BUDGET_UNITS, "executed")}
    accuracies = {f"{name}_accuracy": 0.5 for name in tables.METRICS}
    last = [{**FRONT, "seed": seed, "round": 2, **accuracies, **budgets} for seed in (0, 1)]
    write(tmp_path / "summary.csv", last)
    write(tmp_path / "metrics.csv", clients)
    write(tmp_path / "sizes.csv", sizes)
    manifest = {"script": "compare", "flags": {"levels": ["1", "0.5"]}, "data_sha256": {}}
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    return tmp_path


def test_accuracies_are_those_of_the_last_round(folder):
    (result,) = by_size.read(folder)
    assert result.label == folder.name
    assert result.trained == ("0.5", "1")
    assert result.params == {0: 0.4, 1: 0.4}
    assert result.local == pytest.approx({0: 0.6, 1: 0.7})
    assert result.local_at["1"] == pytest.approx({0: 0.6, 1: 0.7})
    assert result.local_at["0.5"] == pytest.approx({0: 0.6, 1: 0.7})
    assert result.global_at["0.25"] == pytest.approx({0: 0.2, 1: 0.2})
    assert result.own_classes == pytest.approx({0: 0.6, 1: 0.7})
    # The unseen level has no say in the mean over sizes.
    assert result.all_sizes == pytest.approx({0: 0.5, 1: 0.5})
    assert result.curve[1] == pytest.approx({0: 0.25, 1: 0.25})
    assert sorted(result.clients) == pytest.approx([0.4, 0.5, 0.6, 0.7, 0.8, 0.9])


def test_differences_are_paired_to_the_first(folder):
    results = by_size.read(folder) + by_size.read(folder)
    first, second = by_size.table(results).splitlines()[2:]
    assert first.count("reference") == 2
    assert second.count("+0.00 ± 0.00 (n/a)") == 2
    assert "0.25 (unseen)" in by_size.table(results)


def test_without_levels_of_a_policy_clients_tell_what_is_trained(folder):
    for name in ("metrics", "sizes", "summary"):
        path = folder / f"{name}.csv"
        path.write_text(path.read_text().replace(",levels,", ",uniform,"))
    manifest = json.loads((folder / "run.json").read_text())
    manifest["flags"]["levels"] = ["0.25"]
    (folder / "run.json").write_text(json.dumps(manifest))
    assert by_size.read(folder)[0].trained == ("0.5", "1")


def test_sizes_that_nobody_trains_have_no_mean(folder):
    manifest = json.loads((folder / "run.json").read_text())
    manifest["flags"]["levels"] = ["0.125"]
    (folder / "run.json").write_text(json.dumps(manifest))
    (result,) = by_size.read(folder)
    assert result.trained == ()
    assert by_size.table([result, result]).count("none") >= 2
    by_size.draw([result], folder / "by_size.png")


def test_other_data_are_not_compared(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    manifest = json.loads((other / "run.json").read_text())
    (other / "run.json").write_text(json.dumps(manifest | {"data_sha256": {"0": "another"}}))
    with pytest.raises(UserError, match="other data or seeds"):
        by_size.check_alike([folder, other])


def test_a_run_without_levels_is_refused(folder):
    (folder / "sizes.csv").unlink()
    with pytest.raises(UserError, match="--eval_levels"):
        by_size.read(folder)


def test_a_real_run(tmp_path):
    done = run(
        "compare",
        f"--workdir={tmp_path / 'w'}",
        "--dataset=synthetic_images",
        "--model=mlp",
        "--methods=heterofl:levels,fiarse:levels",
        "--budget_unit=params",
        "--levels=1,0.25",
        "--eval_levels=1,0.5,0.25",
        "--num_seeds=2",
        "--num_images=300",
        "--num_rounds=2",
        "--eval_every=1",
        "--hidden_dim=8",
    )
    assert done.returncode == 0, done.stderr
    metrics, sizes = (rows_of(tmp_path / "w" / f"{name}.csv") for name in ("metrics", "sizes"))
    assert len(sizes) == 2 * 2 * 2 * 3
    for row in sizes:
        same = [r for r in metrics if all(r[k] == row[k] for k in ("method", "seed", "round"))]
        if row["level"] != "1":
            assert float(row["width"]) < 1 or row["method"] == "fiarse"
            continue
        whole = [r for r in same if r["split"] == "supernet_test"]
        counts = [int(r["num_examples"]) for r in whole]
        pooled = np.average([float(r["accuracy"]) for r in whole], weights=counts)
        assert float(row["global_accuracy"]) == pytest.approx(pooled)
        assert {r["units"] for r in whole} == {row["units"]}
    done = run("by_size", f"--workdir={tmp_path / 'w'}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "w" / "by_size.png").stat().st_size > 5000
    text = (tmp_path / "w" / "by_size.md").read_text(encoding="utf-8")
    assert text in done.stdout
    assert {"heterofl:levels", "fiarse:levels"} == {
        line.split("|")[1].strip() for line in text.splitlines()[2:]
    }
    again = run("by_size", f"--workdir={tmp_path / 'w'},{tmp_path / 'none'}")
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
