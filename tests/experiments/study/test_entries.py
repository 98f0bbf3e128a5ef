"""A workdir that would lead a run out of it, or make it wait, is refused."""

import os

import pytest

from tests.support.scripts import run

TRAIN = (
    "--dataset=synthetic_images",
    "--num_images=60",
    "--image_size=4",
    "--num_clients=3",
    "--model=mlp",
    "--hidden_dim=4",
    "--num_rounds=1",
)
NOT_OF_DATA = ("--model", "--hidden_dim", "--num_rounds")
LINKED = (
    "metrics.csv",
    "metrics.csv.partial",
    "summary.csv",
    "run.json",
    "table.md",
    "checkpoints",
    "tensorboard",
)


@pytest.mark.parametrize("name", LINKED)
def test_nothing_is_written_through_a_link(tmp_path, name):
    outside, folder = tmp_path / "outside", tmp_path / "run"
    outside.mkdir()
    target = outside / "kept"
    target.write_text("not yours", encoding="utf-8")
    folder.mkdir()
    (folder / name).symlink_to(outside if "." not in name else target)
    done = run("train", *TRAIN, f"--workdir={folder}")
    assert done.returncode == 2
    assert "is a link: a folder of results holds only files and folders of its own" in done.stderr
    assert sorted(path.name for path in outside.iterdir()) == ["kept"]
    assert target.read_text(encoding="utf-8") == "not yours"
    assert [path.name for path in folder.iterdir()] == [name]


@pytest.mark.parametrize("script", ["train", "tables", "plots", "by_size"])
def test_a_pipe_makes_no_script_wait(tmp_path, script):
    assert run("train", *TRAIN, f"--workdir={tmp_path}").returncode == 0
    for name in ("summary.csv", "run.json"):
        (tmp_path / name).unlink()
        os.mkfifo(tmp_path / name)
        done = run(script, *(TRAIN if script == "train" else ()), f"--workdir={tmp_path}")
        assert done.returncode == 2
        # Pictures by size read sizes.csv first, which this run has not written.
        refused = "has no sizes.csv" if script == "by_size" else " is a pipe, a device or a socket"
        assert refused in done.stderr
        assert done.stderr.count("\n") == 1


def test_a_report_of_the_data_is_not_written_through_a_link(tmp_path):
    target, folder = tmp_path / "outside.csv", tmp_path / "report"
    target.write_text("not yours", encoding="utf-8")
    folder.mkdir()
    (folder / "partition.csv").symlink_to(target)
    data = [flag for flag in TRAIN if flag.split("=")[0] not in NOT_OF_DATA]
    done = run("partition_report", *data, f"--workdir={folder}")
    assert done.returncode == 2
    assert "partition.csv is a link" in done.stderr
    assert done.stderr.count("\n") == 1
    assert target.read_text(encoding="utf-8") == "not yours"
