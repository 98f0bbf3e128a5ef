"""A workdir that would lead a run out of it, or make it wait, is refused."""

import os
import socket

import pytest

from experiments.study.entries import check_entries
from hasa_jax.base import UserError
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
    assert "is a link: a workdir holds only files and folders of its own" in done.stderr
    assert sorted(path.name for path in outside.iterdir()) == ["kept"]
    assert target.read_text(encoding="utf-8") == "not yours"
    assert [path.name for path in folder.iterdir()] == [name]


def test_a_link_deep_in_the_checkpoints_is_found(tmp_path):
    (tmp_path / "checkpoints" / "hasa-hasa-0" / "5").mkdir(parents=True)
    (tmp_path / "checkpoints" / "hasa-hasa-0" / "5" / "state").symlink_to("/etc")
    with pytest.raises(UserError, match="5/state is a link"):
        check_entries(tmp_path)


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


def test_sockets_are_refused_and_a_workdir_may_be_a_link_itself(tmp_path):
    folder, link = tmp_path / "run", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    (folder / "table.md").write_text("", encoding="utf-8")
    check_entries(link)
    check_entries(tmp_path / "nothing")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "s"))
        with pytest.raises(UserError, match="s is a pipe, a device or a socket"):
            check_entries(link)
