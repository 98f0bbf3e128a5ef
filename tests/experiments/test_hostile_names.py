"""Names of clients that try to get out: of a terminal, a table, a spreadsheet and the workdir."""

import csv
import io
import json
import unicodedata

import numpy as np
import pytest

from experiments.analysis import results
from tests.support.scripts import run

NAMES = (
    "\x1b]0;owned\x07\x1b[2J",
    "=cmd|'/C calc'!A0",
    "+1+1",
    "-1",
    "@SUM(A1)",
    "../../../etc/cron.d/x",
    "<script>alert(1)</script>",
    "a|b`c`",
    'quo"ted, "and"',
    "\x9b31mred",
    "$x^{$",
    "back\\slash\\x41",
)


def safe(text):
    """Returns whether a terminal shows all of a text."""
    return not any(unicodedata.category(c) in ("Cc", "Cf", "Cs") for c in text.replace("\n", ""))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A run on clients of these names, and what it printed."""
    place = tmp_path_factory.mktemp("hostile")
    generator = np.random.default_rng(0)
    clients = np.repeat(np.array(NAMES), 12)
    np.savez(
        place / "data.npz",
        inputs=generator.normal(size=(len(clients), 4)).astype(np.float32),
        targets=np.arange(len(clients)) % 3,
        clients=clients,
    )
    done = run(
        "train",
        "--dataset=npz",
        f"--data_path={place / 'data.npz'}",
        f"--workdir={place / 'w'}",
        *("--model=mlp", "--hidden_dim=4", "--num_rounds=1", "--norm=layer"),
        *("--execution=masked", "--mesh=clients:1", "--client_optimizer=sgd", "--client_lr=0.1"),
        "--tracker=tensorboard",
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert safe(done.stdout)
    return place


def test_names_come_back_from_the_files(folder):
    metrics = results.source_of(folder / "w").metrics
    assert {record["client"] for record in metrics} == set(NAMES)


def test_no_file_holds_what_is_obeyed(folder):
    for name in ("metrics.csv", "summary.csv", "timings.csv", "table.md", "run.json"):
        text = (folder / "w" / name).read_text(encoding="utf-8")
        assert safe(text), name
    content = (folder / "w" / "metrics.csv").read_text(encoding="utf-8")
    lines = list(csv.reader(io.StringIO(content)))
    assert len(lines) == len(content.splitlines())
    cells = [cell for line in lines for cell in line]
    assert not any(cell.startswith(("=", "+", "@")) for cell in cells)
    # Numbers may be negative, texts not.
    assert all(cell[1:2].isdigit() for cell in cells if cell.startswith("-"))
    assert "-1" not in [line[lines[0].index("client")] for line in lines]


def test_nothing_is_written_outside_the_workdir(folder):
    assert sorted(path.name for path in folder.iterdir()) == ["data.npz", "w"]
    inside = {path.relative_to(folder / "w").parts[0] for path in (folder / "w").rglob("*")}
    assert inside == {
        *("checkpoints", "metrics.csv", "run.json", "summary.csv", "table.md"),
        *("tensorboard", "timings.csv"),
    }


def test_reports_on_such_names(folder, tmp_path):
    for arguments in (
        ("plots", f"--workdir={folder / 'w'}"),
        ("tables", f"--workdir={folder / 'w'}"),
        (
            *("partition_report", "--dataset=npz", f"--data_path={folder / 'data.npz'}"),
            f"--workdir={tmp_path / 'p'}",
        ),
    ):
        done = run(*arguments)
        assert (done.returncode, done.stderr) == (0, "")
        assert safe(done.stdout)
    content = (tmp_path / "p" / "partition.csv").read_text(encoding="utf-8")
    assert safe(content)
    for picture in (folder / "w").glob("*.png"):
        picture.unlink()


def test_scores_by_such_names_are_found(folder, tmp_path):
    """A file of scores may have the names as another file of ours spells them, or as they are."""
    from hasa_jax.simulation.escapes import csv_cell

    for spelled in (csv_cell, str):
        path = tmp_path / "scores.csv"
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows(
                [["client", "score"], *([spelled(name), n] for n, name in enumerate(NAMES[:-1]))]
            )
            # A raw text with an escape of ours would be another name.
            csv.writer(file).writerow([csv_cell(NAMES[-1]), 99])
        done = run(
            "train",
            "--dataset=npz",
            f"--data_path={folder / 'data.npz'}",
            f"--workdir={tmp_path / spelled.__name__}",
            *("--policy=hasa", "--score=file", f"--score_path={path}"),
            *("--model=mlp", "--hidden_dim=4", "--num_rounds=1", "--norm=layer"),
            *("--execution=masked", "--mesh=clients:1"),
        )
        assert (done.returncode, done.stderr) == (0, "")


def test_an_error_about_such_a_name_is_one_line(tmp_path):
    (tmp_path / "scores.csv").write_text("client,score\nx,1\n", encoding="utf-8")
    np.savez(
        tmp_path / "data.npz",
        inputs=np.zeros((24, 4), np.float32),
        targets=np.arange(24) % 3,
        clients=np.repeat(np.array(NAMES[:2]), 12),
    )
    done = run(
        "train",
        "--dataset=npz",
        f"--data_path={tmp_path / 'data.npz'}",
        *("--policy=hasa", "--score=file", f"--score_path={tmp_path / 'scores.csv'}"),
        f"--workdir={tmp_path / 'w'}",
        *("--model=mlp", "--hidden_dim=4"),
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert r"\x1b" in line
    assert safe(line)


def test_a_manifest_keeps_what_is_known_of_the_data(folder):
    found = json.loads((folder / "w" / "run.json").read_text(encoding="utf-8"))
    assert found["baseline"]["0"]["clients"] == len(NAMES)
