"""Paths of users, and what is no regular file."""

import os
import pathlib
import socket

import jax
import pytest

from hasa_jax import UserError
from hasa_jax.datasets import DATASETS, paths
from hasa_jax.datasets.csv_rows import named_columns
from tests.support import written

KEY = jax.random.key(0)
OF_FILES = ("npz", "titles", "csv")
OF_FOLDERS = sorted({name for name, _ in written.LAYOUTS.values()} | {"ag_news", "image_folder"})


def special(path, kind):
    """Puts a pipe, a device or a socket at a path; returns what must stay open."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "socket":
        server = socket.socket(socket.AF_UNIX)
        here = os.getcwd()
        os.chdir(path.parent)  # The length of such a path is limited.
        try:
            server.bind(path.name)
        finally:
            os.chdir(here)
        return server
    else:
        path.symlink_to(kind)
    return None


KINDS = ("pipe", "socket", "/dev/zero", "/dev/urandom", "/dev/tty")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("name", OF_FILES)
def test_files_that_are_none_are_refused_at_once(name, kind, tmp_path):
    kept = special(tmp_path / "file", kind)
    with pytest.raises(UserError, match="is a pipe, a device or a socket: give a regular file"):
        DATASETS[name](KEY, data_path=tmp_path / "file")
    if kept:
        kept.close()


@pytest.mark.parametrize("kind", ["pipe", "/dev/zero"])
@pytest.mark.parametrize("layout", sorted(written.LAYOUTS))
def test_files_in_folders_are_refused_at_once(layout, kind, tmp_path):
    for name in written.files(layout)[0]:
        folder = tmp_path / name.replace("/", "-")
        folder.mkdir()
        _, read = written.copied(layout, folder)
        (folder / name).unlink()
        special(folder / name, kind)
        written.assert_refused(read, folder, "is a pipe, a device", pathlib.Path(name).name)


@pytest.mark.parametrize("kind", KINDS)
def test_images_and_news_are_refused_at_once(kind, tmp_path):
    for name in ("train.csv", "test.csv", "cat/a.png"):
        kept = special(tmp_path / name, kind)
        (tmp_path / "owl").mkdir(exist_ok=True)
        dataset = "image_folder" if name.endswith("png") else "ag_news"
        with pytest.raises(UserError, match=r"is a pipe, a device"):
            DATASETS[dataset](KEY, data_dir=tmp_path)
        (tmp_path / name).unlink()
        if name == "train.csv":
            (tmp_path / name).write_text('"1","a","b"\n', encoding="utf-8")
        if kept:
            kept.close()


def test_a_pipe_that_replaces_a_file_does_not_block(tmp_path, monkeypatch):
    os.mkfifo(tmp_path / "file")
    monkeypatch.setattr(paths, "check_regular", lambda path: None)
    with pytest.raises(UserError, match="is a pipe"):
        paths.opened(tmp_path / "file", "a file")


def test_a_file_larger_than_the_memory_is_refused(tmp_path):
    with open(tmp_path / "file", "wb") as file:
        file.truncate(2**43)
    for name in OF_FILES:
        # Inputs of an npz file may stay in it.
        expected = "is not an npz file" if name == "npz" else "needs 8192.0 GiB of memory, but"
        with pytest.raises(UserError, match=expected):
            DATASETS[name](KEY, data_path=tmp_path / "file")


@pytest.mark.parametrize("name", [*OF_FILES, *OF_FOLDERS, "tfds:mnist"])
def test_any_path_like_and_the_home_folder(name, tmp_path, monkeypatch):
    """Every reader looks at the same place; none of these places exists."""
    from hasa_jax.datasets import dataset_builder

    class Like:
        def __fspath__(self):
            return "~/data"

    monkeypatch.setenv("HOME", str(tmp_path))
    argument = "data_path" if name in OF_FILES else "data_dir"
    if name == "tfds:mnist":
        (tmp_path / "data").write_text("mine", encoding="utf-8")  # Nothing is downloaded.
    for path in ("~/data", pathlib.Path("~/data"), Like(), b"~/data", str(tmp_path / "data")):
        with pytest.raises(UserError) as caught:
            dataset_builder(name)(KEY, **{argument: path})
        assert str(tmp_path / "data") in str(caught.value)


@pytest.mark.parametrize("name", [*OF_FILES, *OF_FOLDERS])
@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("", "no path"),
        ("a\0b", "no path"),
        (3.5, "no path"),
        (b"H\xf4pital", r"H\\udcf4pital is not UTF-8"),
        ("~nobody-of-this-name/x", "no home folder"),
    ],
)
def test_what_is_no_path_is_refused(name, path, message):
    argument = "data_path" if name in OF_FILES else "data_dir"
    with pytest.raises(UserError, match=message) as caught:
        DATASETS[name](KEY, **{argument: path})
    str(caught.value).encode()


def test_paths_in_messages_are_on_one_line(tmp_path):
    assert paths.shown("a\nb\x1b[31m\udcf4\u00e9") == r"a\nb\x1b[31m\udcf4" + "\u00e9"
    with pytest.raises(UserError, match="does not exist") as caught:
        list(named_columns(tmp_path / "a\nb\x1b", ("a", "b")))
    assert str(caught.value).isprintable()
