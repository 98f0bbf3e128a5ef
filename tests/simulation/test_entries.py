"""A folder of results that would lead a run out of it, or make it wait, is refused."""

import os
import socket

import pytest

from hasa_jax.base import UserError
from hasa_jax.simulation.entries import check_entries, check_files


def test_a_link_deep_in_the_checkpoints_is_found(tmp_path):
    (tmp_path / "checkpoints" / "hasa-hasa-0" / "5").mkdir(parents=True)
    (tmp_path / "checkpoints" / "hasa-hasa-0" / "5" / "state").symlink_to("/etc")
    with pytest.raises(UserError, match=r"5/state is a link.*another folder with `workdir`"):
        check_entries(tmp_path, "workdir")


def test_sockets_are_refused_and_a_workdir_may_be_a_link_itself(tmp_path):
    folder, link = tmp_path / "run", tmp_path / "link"
    folder.mkdir()
    link.symlink_to(folder)
    (folder / "table.md").write_text("", encoding="utf-8")
    check_entries(link, "workdir")
    check_entries(tmp_path / "nothing", "workdir")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.path.relpath(folder / "s"))
        with pytest.raises(UserError, match="s is a pipe, a device or a socket"):
            check_entries(link, "workdir")


def test_only_the_named_files_are_looked_at(tmp_path):
    (tmp_path / "data").symlink_to("/etc")
    (tmp_path / "gone").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "pipe")
    check_files(tmp_path, ("other",), "folder")
    check_files(tmp_path / "nothing", ("other",), "folder")
    with pytest.raises(UserError, match=r"gone is a link.*another folder with `folder`"):
        check_files(tmp_path, ("gone",), "folder")
    with pytest.raises(UserError, match="pipe is a pipe"):
        check_files(tmp_path, ("other", "pipe"), "folder")
