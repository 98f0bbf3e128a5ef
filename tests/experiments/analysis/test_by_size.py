"""Local and global accuracy of every size: the table by hand, and of a real run."""

import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest

from experiments.analysis import by_size, reached, results, table_cost, table_sizes
from experiments.analysis.compared import compared_of
from experiments.analysis.markdown import WIDTH
from experiments.analysis.rendering import terminal
from experiments.analysis.results import Arm
from experiments.rooms import ComparisonConfig
from hasa_jax import UserError
from tests.support.scripts import VECTORS, records_of, run

FRONT = {"method": "heterofl", "policy": "levels", "extraction": "prefix", "aggregation": "full"}


def write(path, records):
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(records[0]))
        writer.writeheader()
        writer.writerows(records)


def set_levels(folder, levels):
    """Changes the levels of the policy in run.json."""
    manifest = json.loads((folder / "run.json").read_text())
    manifest["config"]["allocation"]["levels"] = levels
    (folder / "run.json").write_text(json.dumps(manifest))


@pytest.fixture
def folder(tmp_path):
    """Two seeds, two clients of size 8 and one of size 4; level .5 is seen, .25 is not."""
    clients, sizes = [], []
    for seed, shift in ((0, 0.0), (1, 0.1)):
        for round in (1, 2):
            front = {**FRONT, "seed": seed, "round": round}
            for client, (size, accuracy) in enumerate([(8, 0.2), (8, 0.4), (4, 0.3)]):
                value = accuracy * round + shift
                own = {"client": client, "size": size, "split": "test", "accuracy": value}
                clients += [{**front, **own}, {**front, **own, "split": "validation"}]
            for level, size, accuracy in (("1", 8, 0.3), ("0.5", 4, 0.2), ("0.25", 2, 0.1)):
                both = {
                    "global_accuracy": accuracy * round,
                    "local_accuracy": accuracy * round + shift,
                }
                sizes.append({**front, "level": level, "size": size, **both})
    budgets = {f"budget_{u}": 0.4 for u in ("requested", *results.UNITS)}
    accuracies = {f"{name}_accuracy": 0.5 for name in results.METRICS}
    last = [{**FRONT, "seed": seed, "round": 2, **accuracies, **budgets} for seed in (0, 1)]
    write(tmp_path / "summary.csv", last)
    write(tmp_path / "metrics.csv", clients)
    write(tmp_path / "sizes.csv", sizes)
    config = {"allocation": {"levels": [1.0, 0.5]}}
    manifest = {"script": "compare", "config": config, "data_sha256": {}}
    (tmp_path / "run.json").write_text(json.dumps(manifest))
    return tmp_path


def read(*folders):
    return reached.read(results.read(list(folders)))


def rewrite(folder, name, change):
    """Changes the lines of a file."""
    with (folder / name).open(encoding="utf-8", newline="") as file:
        lines = [change(line) for line in csv.DictReader(file)]
    write(folder / name, lines)


def copied(folder, sizes=True, **changes):
    """A workdir with the same results of method fjord, but for some columns of summary.csv."""
    other = folder / "fjord"
    shutil.copytree(folder, other)
    for name in ("metrics.csv", "sizes.csv", "summary.csv"):
        own = changes if name == "summary.csv" else {}
        rewrite(other, name, lambda line, own=own: {**line, "method": "fjord", **own})
    if not sizes:
        (other / "sizes.csv").unlink()
    return other


def tables_of(*folders, **comparison):
    """Tables by their names."""
    chosen = compared_of(results.read(list(folders)), ComparisonConfig(**comparison))
    return {table.name: table for table in table_sizes.tables_of(chosen)}


def test_accuracies_are_those_of_the_last_round(folder):
    (result,) = read(folder)
    assert result.arm == Arm("heterofl", "levels")
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
    found = tables_of(folder, copied(folder))
    one, other = ([cell.text for cell in cells] for cells in found["sizes"].rows)
    assert one[2:4] == one[5:7] == ["reference", ""]
    assert other[2:4] == other[5:7] == ["+0.00 ± 0.00", "n/a"]
    assert "0.25 (unseen)" in found["sizes_global"].headers
    lines = terminal.document(list(found.values())).splitlines()
    assert max(map(len, lines)) <= WIDTH


def test_differences_are_to_the_reference_where_budgets_match(folder):
    other = copied(folder, budget_width=0.6)

    def sizes(**comparison):
        rows = tables_of(folder, other, **comparison)["sizes"].rows
        return {cells[0].text: [cell.text for cell in cells[1:]] for cells in rows}

    assert sizes()["fjord"][1:3] == sizes()["fjord"][4:6] == ["not matched", ""]
    by_params = sizes(matched="params", reference="fjord")
    assert by_params["fjord"][1:3] == ["reference", ""]
    assert by_params["heterofl"][1:3] == by_params["heterofl"][4:6] == ["+0.00 ± 0.00", "n/a"]


def test_an_arm_without_sizes_leaves_those_of_the_others(folder):
    other = copied(folder, sizes=False)
    for folders in ([folder, other], [other, folder]):
        table = tables_of(*folders)["sizes"]
        assert [cells[0].text for cells in table.rows] == ["heterofl"]
        assert "sizes.csv has nothing of fjord." in table.notes
    with pytest.raises(UserError, match=r"sizes.csv has nothing of 'fjord:levels'"):
        by_size.tables_of(results.read([folder, other]), ComparisonConfig())
    (folder / "sizes.csv").unlink()
    assert tables_of(folder, other) == {}


def test_accuracies_that_are_not_finite_are_not_shown_as_numbers(folder):
    rewrite(folder, "sizes.csv", lambda line: {**line, "global_accuracy": "nan"})
    found = tables_of(folder)
    assert found["sizes"].rows[0][4].text == "n/a"
    assert [cell.text for cell in found["sizes_global"].rows[0][1:]] == ["n/a"] * 3


def test_the_notes_name_the_clients_that_were_drawn(folder):
    found = results.read([folder])
    assert "drawn" not in " ".join(by_size.tables_of(found, ComparisonConfig())[0].notes)
    drawn = dataclasses.replace(found, eval_clients=(2,))
    some = by_size.tables_of(drawn, ComparisonConfig())[0].notes
    first = (
        "Evaluated on 2 clients of each seed, drawn once. All accuracies are over these clients."
    )
    assert first in some


def test_without_levels_of_a_policy_clients_show_what_is_trained(folder):
    for name in ("metrics", "sizes", "summary"):
        path = folder / f"{name}.csv"
        path.write_text(path.read_text().replace(",levels,", ",uniform,"))
    set_levels(folder, [0.25])
    assert read(folder)[0].trained == ("0.5", "1")


def test_layers_without_a_weight_are_shown_at_the_first_and_last_evaluation(folder):
    assert "sizes_empty" not in tables_of(folder)
    path = folder / "sizes.csv"
    with path.open(encoding="utf-8", newline="") as file:
        lines = list(csv.DictReader(file))
    for line in lines:
        smallest = line["level"] == "0.25"
        line["empty_layers"] = {"1": 0.5, "2": 0.25}[line["round"]] if smallest else 0.0
        line["severed"] = int(smallest and line["round"] == "1" and line["seed"] == "0")
    write(path, lines)
    table = tables_of(folder)["sizes_empty"]
    assert "Layers without a weight in %" in table.title
    assert [cell.text for cell in table.rows[0]][1:] == [
        "50 → 25 (severed 50 % → 0 %)",
        "0 → 0",
        "0 → 0",
    ]


def test_sizes_that_no_client_trains_have_no_mean(folder):
    set_levels(folder, [0.125])
    (result,) = read(folder)
    assert result.trained == ()
    found = tables_of(folder, copied(folder))["sizes"]
    assert [cells[4].text for cells in found.rows] == ["none", "none"]
    assert [cells[5].text for cells in found.rows] == ["reference", "no common seed"]


def test_workdirs_of_other_levels_are_arms_of_their_own(folder, tmp_path):
    other = tmp_path / "half"
    shutil.copytree(folder, other)
    set_levels(other, [0.5])
    first, second = read(folder, other)
    assert (first.arm.folder, second.arm.folder) == (folder.name, "half")
    assert (first.trained, second.trained) == (("0.5", "1"), ("0.5",))


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_shares_of_another_supernet_do_not_match(folder, tmp_path, width):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    manifest = json.loads((other / "run.json").read_text())
    manifest["config"]["method"] = {"supernet_width": width, "proximal": 0.5}
    (other / "run.json").write_text(json.dumps(manifest))
    found, apart = results.read((folder, other)), width != 1
    sizes, *_ = by_size.tables_of(found, ComparisonConfig())
    assert sizes.rows[1][2].text == ("not matched" if apart else "+0.00 ± 0.00")
    assert any("another supernet_width do not match" in note for note in sizes.notes) == apart
    compared = compared_of(found, ComparisonConfig())
    for cell in table_cost.cost(compared, compared.last).rows[1][2:]:
        assert ("≠" in cell.text) == apart


def test_seeds_of_several_workdirs_are_merged(folder, tmp_path):
    other = tmp_path / "more"
    shutil.copytree(folder, other)
    for path in other.glob("*.csv"):
        lines = records_of(path)
        write(path, [{**line, "seed": str(int(line["seed"]) + 2)} for line in lines])
    (result,) = read(folder, other)
    assert sorted(result.local) == [0, 1, 2, 3]


def test_other_data_are_not_compared(folder, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(folder, other)
    manifest = json.loads((other / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(manifest | {"data_sha256": {"0": "one"}}))
    (other / "run.json").write_text(json.dumps(manifest | {"data_sha256": {"0": "another"}}))
    with pytest.raises(UserError, match="has other data than"):
        read(folder, other)
    manifest["config"]["training"] = {"num_rounds": 99}
    (other / "run.json").write_text(json.dumps(manifest))
    with pytest.raises(UserError, match="`num_rounds` is"):
        read(folder, other)


def test_a_run_without_levels_is_refused(folder):
    (folder / "sizes.csv").unlink()
    with pytest.raises(UserError, match="with `eval_levels`"):
        read(folder)
    done = run("by_size", f"--workdir={folder}")
    assert done.returncode == 2
    assert "has no sizes.csv: run compare with --eval_levels" in done.stderr


@pytest.mark.slow
def test_a_real_run(tmp_path):
    done = run(
        "compare",
        f"--workdir={tmp_path / 'w'}",
        *VECTORS,
        "--methods=heterofl:levels,fiarse:levels",
        "--budget_unit=params",
        "--levels=1,0.25",
        "--eval_levels=1,0.5,0.25",
        "--num_seeds=2",
        "--hidden_dim=8",
    )
    assert done.returncode == 0, done.stderr
    metrics, sizes = (records_of(tmp_path / "w" / f"{name}.csv") for name in ("metrics", "sizes"))
    assert len(sizes) == 2 * 2 * 2 * 3
    for record in sizes:
        same = [r for r in metrics if all(r[k] == record[k] for k in ("method", "seed", "round"))]
        if record["level"] != "1":
            assert float(record["width"]) < 1 or record["method"] == "fiarse"
            continue
        full = [r for r in same if r["split"] == "supernet_test"]
        counts = [int(r["num_examples"]) for r in full]
        pooled = np.average([float(r["accuracy"]) for r in full], weights=counts)
        assert float(record["global_accuracy"]) == pytest.approx(pooled)
        assert {r["size"] for r in full} == {record["size"]}
    # What always predicting the most frequent class reaches is recorded, and a line of the table.
    manifest = json.loads((tmp_path / "w" / "run.json").read_text(encoding="utf-8"))
    assert sorted(manifest["baseline"]) == ["0", "1"]
    assert 0 < manifest["baseline"]["0"]["mean_accuracy"] < 1
    assert "\nmajority " in done.stdout
    assert "| majority " in (tmp_path / "w" / "table.md").read_text("utf-8")
    done = run("by_size", f"--workdir={tmp_path / 'w'}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "w" / "by_size.png").stat().st_size > 5000
    text = (tmp_path / "w" / "by_size.md").read_text(encoding="utf-8")
    assert "Local and global accuracy at round 2" in done.stdout
    lines = [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")]
    assert set(lines) == {"", "heterofl", "fiarse", "majority"}
    headline = (tmp_path / "w" / "table.md").read_text("utf-8").splitlines()[0]
    assert headline.startswith("Mean accuracy of the clients at round ")
    again = run("by_size", f"--workdir={tmp_path / 'w'},{tmp_path / 'none'}")
    assert again.returncode == 2
    assert again.stderr.startswith("error: ")
